"""The plain loop of `charnn` trains the same network as `train.fit`, and `growth` measures what it says."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from benchmarks import charnn, growth
from benchmarks.networks import Size


def test_the_plain_loop_has_the_gradients_of_the_engine() -> None:
    inputs, targets = charnn.sequence(charnn.text(charnn.LENGTH + 1), 0)
    value, gradients = charnn.Plain().loss(inputs, targets)
    x = np.eye(charnn.SYMBOLS)[inputs][:, None]
    wanted, named = tg.value_and_grad(charnn.loss)(charnn.Network("float64"), (x, targets[:, None]))
    assert value == pytest.approx(wanted, rel=1e-12)
    for name, gradient in zip("UWVbc", gradients, strict=True):
        cut = np.clip(named[name], -charnn.CUT, charnn.CUT)
        np.testing.assert_allclose(gradient.reshape(cut.shape), cut, rtol=1e-9, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("compiled", [False, True], ids=["uncompiled", "compiled"])
def test_fit_takes_the_same_first_steps_as_the_plain_loop(compiled: bool) -> None:
    characters = charnn.text(4 * charnn.LENGTH + 1)
    plain = charnn.Plain()
    losses = [plain.update(*charnn.sequence(characters, n)) for n in range(4)]
    np.testing.assert_allclose(charnn.fitted(characters, "float64", compiled, 4)[0], losses, rtol=1e-8)


def test_the_report_tells_how_many_times_faster() -> None:
    said = charnn.report({"plain numpy loop": [100.0, 100.0], "fit, compiled, numpy": [250.0, 210.0]})
    assert "| 2.30 " in said and "≥ 2" in said and "| yes" in said


def test_growth_measures_one_way_at_one_size() -> None:
    found = growth.here("eager", Size(H=4, B=2, T=6, D=3))
    assert found.keys() == {"first", "seconds", "peak"} and min(found.values()) > 0
