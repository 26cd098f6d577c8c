"""A checkpoint is whole or not there, and a run taken up from one ends in the same bits."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from benchmarks.soak import faults, killed_run
from tests.sweep import sample
from tinygrad_rnn import nn, train
from tinygrad_rnn.core.errors import CheckpointError, MissingExtraError
from tinygrad_rnn.train import checkpoint

pytest.importorskip("safetensors", reason="safetensors is not installed: pip install -e '.[train]'")
ROOT = Path(__file__).resolve().parents[1]
ARRAYS = {"a": np.arange(6.0).reshape(2, 3).T, "none": np.zeros((0, 3), np.float32), "one": np.array(0.1)}
FACTS = {"lr": 0.1, "big": 2**127, "nan": float("inf"), "text": "h[t] = ∂", "list": [1, None]}


class Net(nn.Module):
    """Two parameters and a buffer."""

    def __init__(self, size: int = 3) -> None:
        self.W = nn.parameter("W", np.ones((size, size)))
        self.v = nn.parameter("v", 2.0)
        self.register_buffer("h", np.zeros(size))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = checkpoint.read(checkpoint.write(tmp_path / "new" / "folder", 7, ARRAYS, FACTS))
    assert found.step == 7 and found.facts == FACTS and found.arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[name], value)
        assert found.arrays[name].dtype == value.dtype


def test_the_last_few_stay(tmp_path: Path) -> None:
    for step in (5, 90, 100, 2000):
        checkpoint.write(tmp_path, step, ARRAYS, FACTS, keep=2)
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == [
        "step-00000100.safetensors",
        "step-00002000.safetensors",
    ]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_half_written_file_is_an_error_that_says_what_to_do(tmp_path: Path, share: float) -> None:
    checkpoint.write(tmp_path, 1, ARRAYS, FACTS)
    path = checkpoint.write(tmp_path, 2, ARRAYS, FACTS)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=r"not a whole checkpoint.*delete it to go on from step-00000001"):
        checkpoint.read(path)


@pytest.mark.parametrize("at", [-1, -30, -50])
def test_arrays_that_changed_on_disk_are_noticed(tmp_path: Path, at: int) -> None:
    path = checkpoint.write(tmp_path, 2, ARRAYS, FACTS)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="not those that were written"):
        checkpoint.read(path)


def test_every_flipped_bit_of_the_header_is_noticed(tmp_path: Path) -> None:
    """Rates, the random state and the step stand in the header: a bit that changes one of them is an error."""
    path = train.save_checkpoint(tmp_path, 7, *_trained())
    data = path.read_bytes()
    assert len(data) > 1000
    for bit in np.random.default_rng(0).permutation(8 * len(data))[:150]:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(CheckpointError):
            checkpoint.read(path)


def test_runs_in_one_folder_leave_each_other_alone(tmp_path: Path) -> None:
    first, second = _trained(), _trained()
    for step in (1, 2, 3):
        train.save_checkpoint(tmp_path, step, *first, keep=2)
    train.save_checkpoint(tmp_path, 4, *second, keep=1)
    (tmp_path / ".step-00000009.abc.tmp").write_bytes(b"another process is writing this")
    train.save_checkpoint(tmp_path, 5, *second, keep=1)
    assert sorted(path.name[5:13] for path in checkpoint.checkpoints(tmp_path)) == ["00000002", "00000003", "00000005"]
    assert (tmp_path / ".step-00000009.abc.tmp").exists()
    with pytest.raises(CheckpointError, match=r"step-00000005.*written by another run: give each run a folder"):
        train.save_checkpoint(tmp_path, 5, *first)
    with pytest.raises(CheckpointError, match=r"are of 2 runs.*step-00000003.safetensors, step-00000005.safetensors"):
        train.load_checkpoint(tmp_path, *first)
    train.load_checkpoint(tmp_path / "step-00000003.safetensors", *second)
    train.save_checkpoint(tmp_path, 6, *second, keep=1)  # the run goes on that was loaded
    assert sorted(path.name[5:13] for path in checkpoint.checkpoints(tmp_path)) == ["00000005", "00000006"]


def _altered(folder: Path, **changes: Any) -> None:
    """A checkpoint with other facts, under a right checksum."""
    arrays, facts = train.History().arrays(), {"stopped": "", "stopping": None}
    path = train.save_checkpoint(folder, 1, *_trained(), arrays=arrays, facts=facts)
    found = checkpoint.read(path)
    checkpoint.write(folder, 1, found.arrays, found.facts | changes, run=found.run)


GROUP = {"lr": 0.1, "betas": [0.9, 0.999], "params": [0, 1]}


@pytest.mark.parametrize(
    "changes",
    [
        {"random": {"bit_generator": "PCG64", "state": 3}},
        {"random": {}},
        {"groups": [GROUP | {"lr": -1.0}]},
        {"groups": [GROUP | {"lr": "fast"}]},
        {"groups": [GROUP | {"speed": 1.0}]},
        {"groups": 5},
        {"steps": {"0": "many"}},
        {"yours": {"epoch": 1}},
        {"yours": 5},
    ],
    ids=str,
)
def test_facts_are_looked_at_before_anything_changes(tmp_path: Path, changes: dict[str, Any]) -> None:
    model = Net()
    optimizer = train.Adam(model.parameters(), lr=0.5)

    def fit(folder: Path) -> None:
        train.fit(model, lambda m, b: m.v * 1.0, [0], optimizer, steps=3, checkpoint=folder, log=False)

    _altered(tmp_path / "whole")
    fit(tmp_path / "whole")
    _altered(tmp_path / "altered", **changes)
    before, memory, random = model.state_dict(), str(optimizer.state_dict()), nn.get_rng_state()
    with pytest.raises(CheckpointError):
        fit(tmp_path / "altered")
    assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())
    assert str(optimizer.state_dict()) == memory and nn.get_rng_state() == random


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.ones(2)}, tmp_path / "theirs.safetensors")
    (tmp_path / "text").write_text("no checkpoint")
    for name, message in (("theirs.safetensors", "no checkpoint of a"), ("text", "not a whole"), ("gone", "whole")):
        with pytest.raises(CheckpointError, match=message):
            checkpoint.read(tmp_path / name)
    with pytest.raises(CheckpointError, match="no checkpoint in this folder"):
        train.load_checkpoint(tmp_path, Net(), train.SGD(Net().parameters()))


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = checkpoint.write(tmp_path, 1, ARRAYS, FACTS)
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"cannot be written \(no space.*the last one kept is step-00000001"):
        checkpoint.write(tmp_path, 1, {"a": np.zeros(3)}, {})
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


def test_a_file_gets_its_name_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def killed(source: Path, target: Path) -> None:
        assert Path(source).parent == target.parent and not target.exists()
        seen.append(Path(source).read_bytes())
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.write(tmp_path, 1, ARRAYS, FACTS)
    assert os.listdir(tmp_path) == []
    (tmp_path / "whole").write_bytes(seen[0])
    assert checkpoint.read(tmp_path / "whole").facts == FACTS


def test_without_safetensors_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for use in (lambda: checkpoint.write(tmp_path, 1, {}, {}), lambda: checkpoint.read(tmp_path)):
        with pytest.raises(MissingExtraError, match=r"safetensors .* pip install 'tinygrad_rnn\[train\]'"):
            use()


def _trained(optimizer: type = train.Adam, size: int = 3) -> tuple[Net, train.Optimizer]:
    model = Net(size)
    made = optimizer(model.parameters(), lr=0.1)
    made.step([np.ones((size, size)), 1.0])
    return model, made


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: _trained(train.SGD), "written with .*Adam.* here are .*SGD"),
        (lambda: _trained(size=4), "W has shape"),
        (lambda: (m := Net(), train.Adam([{"params": [m.W]}, {"params": [m.v]}], lr=0.1)), "groups of"),
    ],
    ids=["optimiser", "model", "groups"],
)
def test_a_checkpoint_of_another_run_changes_nothing(
    tmp_path: Path, other: Callable[[], tuple[Net, train.Optimizer]], message: str
) -> None:
    train.save_checkpoint(tmp_path, 3, *_trained())
    model, optimizer = other()
    before, random = model.state_dict(), nn.get_rng_state()
    with pytest.raises(CheckpointError, match=f"(?s)does not belong to this run.*{message}"):
        train.load_checkpoint(tmp_path, model, optimizer)
    assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())
    assert nn.get_rng_state() == random


def test_everything_comes_back(tmp_path: Path) -> None:
    nn.manual_seed(1)
    model, optimizer = _trained()
    schedule = train.StepLR(optimizer, 1, 0.5)
    schedule.step()
    model.h = np.array([1.0, 2.0, 3.0])
    train.save_checkpoint(tmp_path, 3, model, optimizer, schedule, arrays={"mine": np.eye(2)}, facts={"epoch": 4})
    expected = nn.random.generator().normal()
    other, adam = _trained()
    steps = train.StepLR(adam, 1, 0.5)
    found = train.load_checkpoint(tmp_path, other, adam, steps)
    assert found.step == 3 and found.facts == {"epoch": 4} and found.arrays["mine"].tolist() == np.eye(2).tolist()
    assert nn.random.generator().normal() == expected
    assert other.h.tolist() == [1.0, 2.0, 3.0] and adam.param_groups[0]["lr"] == 0.05 and steps.last_epoch == 1
    for _, b in ((model, optimizer), (other, adam)):
        b.step([np.full((3, 3), 0.3), 0.2])
    assert other.state_dict()["W"].tobytes() == model.state_dict()["W"].tobytes()


# -- killed in the middle -------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def uninterrupted() -> faults.Run:
    return killed_run.run(None)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.02, 0.95])
def test_a_killed_run_ends_in_the_same_bits(tmp_path: Path, share: float, uninterrupted: faults.Run) -> None:
    faults.start_and_kill(tmp_path, "eager", after=share)
    step = checkpoint.read(checkpoint.checkpoints(tmp_path)[-1]).step
    found = killed_run.run(str(tmp_path))
    assert found[1].resumed == step and not faults.difference(found, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("first", [1, 3, 50, 149])
def test_a_run_in_two_parts_is_the_run_in_one(tmp_path: Path, first: int, uninterrupted: faults.Run) -> None:
    killed_run.run(str(tmp_path), first)
    assert not faults.difference(killed_run.run(str(tmp_path)), uninterrupted, faults.STEPS)


WAYS = list(product([True, "jit"], [train.Adam, train.Adagrad], [1.0, train.clip.by_value(0.01)]))


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "kind", "rule"), sample(WAYS, 3, "in two parts"))
def test_a_compiled_run_in_two_parts_is_the_run_in_one(tmp_path: Path, executor: Any, kind: Any, rule: Any) -> None:
    if executor == "jit":
        pytest.importorskip("numba", reason="numba is not installed: pip install -e '.[jit]'")
    xs = np.random.default_rng(0).normal(size=(9, 6, 2, 3))

    def loss(model: Any, x: Any) -> Any:
        h, total = np.zeros((2, 4)), 0.0
        for t in tg.steps(len(x)):
            h = np.tanh(tg.linear(h, model.W) + tg.linear(x[t], model.U) + model.b)
            total = total + np.sum(h * h)
        return total

    def run(steps: int, folder: Path | None) -> tuple[list[bytes], train.History]:
        model = Recurrent()
        optimizer = kind(model.parameters(), lr=0.1)
        history = train.fit(
            model, loss, lambda n: xs[n], optimizer, steps=steps, clip=rule, compile=executor, checkpoint=folder,
            log=False,
        )  # fmt: skip
        return [p.value.tobytes() for p in model.parameters()], history

    run(4, tmp_path)
    (found, resumed), (wanted, whole) = run(9, tmp_path), run(9, None)
    assert found == wanted and (resumed.loss, resumed.norm) == (whole.loss, whole.norm) and resumed.resumed == 4


class Recurrent(nn.Module):
    """Three parameters that end in the middle of what a processor takes at once."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.W, self.U = (nn.parameter(name, rng.normal(size=size)) for name, size in (("W", (4, 4)), ("U", (4, 3))))
        self.b = nn.parameter("b", np.zeros(4))


def test_a_new_run_never_writes_over_an_old_one(tmp_path: Path) -> None:
    model, optimizer = _trained()
    train.save_checkpoint(tmp_path, 900, model, optimizer)

    def fit(resume: bool) -> None:
        train.fit(model, lambda m, b: m.v * 1.0, [0], optimizer, steps=3, checkpoint=tmp_path, resume=resume)

    with pytest.raises(CheckpointError, match=r"up to step-00000900.*resume=True goes on"):
        fit(resume=False)
    with pytest.raises(CheckpointError, match="another kind of run"):
        fit(resume=True)
