"""What compiled code is kept where: in a folder of the user's alone, and only what is what it was."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tinygrad_rnn.compiler.jit import cache


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def entry_of(text: str) -> Path:
    """Where a module is kept, which the next call looks for as another process would."""
    name = cache.module(text).__name__
    del sys.modules[name]
    return cache.folder() / name


def test_a_module_is_named_by_its_text_and_written_once(own_cache: Path) -> None:
    first = cache.module("answer = 42\n")
    path = own_cache / first.__name__ / f"{first.__name__}.py"
    assert first.answer == 42 and str(path) == first.__file__ and path.read_text() == "answer = 42\n"
    stamp = path.stat().st_mtime_ns
    assert cache.module("answer = 42\n") is first
    assert cache.module("answer = 42\n", depends="other kernels").__name__ != first.__name__
    del sys.modules[first.__name__]
    assert cache.module("answer = 42\n").answer == 42 and path.stat().st_mtime_ns == stamp
    assert not list(own_cache.glob(".*"))


def _written_over(entry: Path) -> None:
    next(entry.glob("*.py")).write_text("answer = 'wrong'\n")


def _one_bit(entry: Path) -> None:
    path = entry / cache.SUMS
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def _more(entry: Path) -> None:
    (entry / "__pycache__").mkdir(exist_ok=True)
    (entry / "__pycache__" / "run.nbi").write_bytes(b"cos\nsystem\n(S'false'\ntR.")


def _no_sums(entry: Path) -> None:
    (entry / cache.SUMS).unlink()


def _no_folder(entry: Path) -> None:
    shutil.rmtree(entry)
    entry.write_text("")


def _for_all(entry: Path) -> None:
    entry.chmod(0o777)


@pytest.mark.parametrize("damage", [_written_over, _one_bit, _more, _no_sums, _no_folder, _for_all])
def test_a_damaged_entry_is_discarded_and_said(damage: Callable[[Path], None], own_cache: Path) -> None:
    entry = entry_of("answer = 43\n")
    damage(entry)
    with pytest.warns(UserWarning, match="is damaged .*: discarded"):
        assert cache.module("answer = 43\n").answer == 43
    assert entry_of("answer = 43\n") == entry and (entry / cache.SUMS).read_text() == cache._sums(entry)


@pytest.mark.slow
def test_damaged_machine_code_is_made_anew(own_cache: Path) -> None:
    pytest.importorskip("numba")
    text = "from numba import njit\n\n\n@njit('i8(i8)', cache=True)\ndef run(n):\n    return n + 1\n"
    entry = entry_of(text)
    for path in [*entry.glob("__pycache__/*.nbi"), *entry.glob("__pycache__/*.nbc")]:
        path.write_bytes(path.read_bytes()[:-9] + b"\0" * 9)
        with pytest.warns(UserWarning, match="damaged"):
            assert cache.module(text).run(1) == 2
        assert entry_of(text) == entry


def _for_others(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.mkdir()
    place.chmod(0o777)


def _of_somebody_else(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.mkdir()
    user = os.getuid()
    monkeypatch.setattr("os.getuid", lambda: user + 1)


def _below_what_all_can_change(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.parent.mkdir()
    place.parent.chmod(0o777)


def _no_folder_at_all(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.parent.write_text("")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights have another form here")
@pytest.mark.parametrize("made", [_for_others, _of_somebody_else, _below_what_all_can_change, _no_folder_at_all])
def test_a_folder_that_is_not_the_users_alone_is_not_used(
    made: Callable[[Path, pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "above" / "cache" if made in (_below_what_all_can_change, _no_folder_at_all) else tmp_path / "c"
    made(place, monkeypatch)
    monkeypatch.setenv(cache.VARIABLE, str(place))
    cache._of_this_process.cache_clear()
    with pytest.warns(UserWarning, match="not kept for the next process: .*chmod 700"):
        module = cache.module(f"answer = '{made.__name__}'\n")
    assert module.answer == made.__name__ and not list(place.glob("plan_*"))
