"""Nobody is raced who computes something else: all contestants of `speed` agree in the loss and in every gradient."""

import numpy as np
import pytest

from benchmarks import peers, speed
from benchmarks.networks import CELLS, Size, problem

#: left to the benchmark itself, which checks them too: they compile for many seconds
SLOW = {"torch.compile", "compiled, jit"}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", list(speed.AGREEMENT))
@pytest.mark.parametrize("cell", list(CELLS))
@pytest.mark.parametrize("name", [name for name in peers.CONTESTANTS if name not in SLOW])
def test_every_contestant_finds_the_loss_and_gradients_of_the_eager_engine(name: str, cell: str, dtype: str) -> None:
    case = problem(cell, Size(H=5, B=3, T=4, D=2), dtype)
    try:
        contestant = peers.CONTESTANTS[name](case)
    except peers.Unavailable as reason:
        pytest.skip(str(reason))
    contestant.run()  # buffers in use again have to give the same
    speed.agree(case, {name: contestant})


def test_a_contestant_that_finds_another_gradient_is_not_timed() -> None:
    case = problem("GRU", Size(5, 3, 4, 2), "float64")
    right = peers.tuned(case, "rows")

    def read(result: object) -> tuple[float, dict[str, np.ndarray]]:
        value, gradients = right.read(result)
        return value, gradients | {"c": gradients["c"] * (1 + 1e-6)}

    with pytest.raises(AssertionError, match=r"wrong and the eager engine differ in c by 1.0e-06: not timed"):
        speed.agree(case, {"wrong": peers.Contestant(right.run, read)})


def test_the_faster_layout_is_the_one_that_counts() -> None:
    found = speed.Race("RNN", speed.SIZES[0], "float32", {"hand-tuned, rows": [3.0], "hand-tuned, columns": [2.0]})
    assert found.times(speed.HAND) == [2.0]


def test_targets_are_judged_by_geometric_means_and_by_the_worst_race(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = [speed.Target("numpy", "MyGrad", 1.0), speed.Target("numpy", "MyGrad", 1.0, each=True)]
    targets += [speed.Target("numpy", "MyGrad", 0.6, cell="GRU"), speed.Target("jit", "MyGrad", 1.0)]
    monkeypatch.setattr(speed, "TARGETS", targets)
    races = [
        speed.Race(cell, speed.SIZES[0], "float32", {"compiled, numpy": [ours], "MyGrad": [1.0]})
        for cell, ours in (("RNN", 2.0), ("GRU", 0.5))
    ]
    assert [line[3:] for line in speed.judged(races)] == [
        ["1.00", "≤ 1.00", "yes"],
        ["2.00 (1 of 2 above)", "≤ 1.00", "**no**"],
        ["0.50", "≤ 0.60", "yes"],
        ["", "≤ 1.00", "not measured"],
    ]


def test_the_report_names_everybody_and_says_who_was_absent() -> None:
    seconds = {name: [0.001, 0.002, 0.003] for name in peers.CONTESTANTS if name != "MyGrad"}
    text = speed.report([speed.Race("LSTM", speed.SIZES[1], "float32", seconds, {"MyGrad": "not installed"})], rounds=3)
    assert "LSTM 100, 1, 25 (D 65)" in text and "MyGrad: not installed" in text
    assert all(name in text for name in seconds)
