"""A module can be held in another dtype, with all that is inside, and says which it is."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.compile_layers import ROWS
from tinygrad_rnn import nn

LAYERS = [name for name, row in ROWS.items() if isinstance(row.make(3, 4), nn.Module)]


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_computes_in_the_dtype_it_was_given(name: str) -> None:
    row, rng = ROWS[name], np.random.default_rng(0)
    nn.manual_seed(0)
    module = row.make(3, 4)
    given = row.data(rng, 4, 2, 3, 4)
    nn.manual_seed(1)
    before = row.loss(module, *given).item()
    single = row.make(3, 4).astype(np.float32)
    single.load_state_dict({key: value.astype(np.float32) if value.dtype == float else value
                            for key, value in module.state_dict().items()})  # fmt: skip
    assert {p.dtype for p in single.parameters()} <= {np.dtype(np.float32)}
    small = [x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype == float else x for x in given]
    nn.manual_seed(1)
    loss = row.loss(single, *small)
    np.testing.assert_allclose(loss.item(), before, rtol=2e-3, atol=1e-4)
    if list(single.parameters()):
        assert loss.dtype == np.float32
        assert {g.dtype for g in tg.gradients(loss, list(single.parameters()))} == {np.dtype(np.float32)}
        assert "float32" in repr(single)


def test_parameters_stay_the_same_tensors_and_come_back() -> None:
    net = nn.LSTM(2, 3)
    before, held = net.state_dict(), list(net.parameters())
    assert repr(net).endswith("float64)")
    assert net.astype("float32") is net and repr(net).endswith("float32)")
    assert all(a is b for a, b in zip(net.parameters(), held, strict=True))
    net.astype(float)
    assert all(np.allclose(value, before[name], rtol=1e-6) for name, value in net.state_dict().items())
    for wrong in (int, complex, bool):
        with pytest.raises(tg.DtypeError, match="a module computes with floats, not"):
            net.astype(wrong)


def test_a_graph_of_the_old_dtype_is_refused_and_a_compiled_loss_follows() -> None:
    net = nn.Linear(2, 1)

    def loss(net: Any, x: Any) -> Any:
        return np.sum(net(x) ** 2)

    x, old = np.ones((3, 2)), loss(net, np.ones((3, 2)))
    fast = tg.compile(tg.value_and_grad(loss))
    fast(net, x)
    net.astype(np.float32)
    with pytest.raises(tg.GraphError):
        tg.gradients(old, net.parameters())
    value, grads = fast(net, x.astype(np.float32))
    np.testing.assert_allclose(value, loss(net, x.astype(np.float32)).item(), rtol=1e-6)
    assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}
