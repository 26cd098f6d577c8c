"""A training run on disk: one file that is either whole or not there.

Arrays and facts of one moment stand in one safetensors file, the facts as JSON in its header, so they can never be of
different steps; one checksum stands over every byte of it. It is written beside its place, forced to disk and then
renamed, so a killed process leaves the file of before. Nothing in it is ever run. What a run consists of is in
`snapshot`.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ..core.atomic_files import write_atomically
from ..core.errors import CheckpointError, extra
from ..nn.arguments import whole

KIND = "tinygrad_rnn checkpoint, version 2"
_NAME = re.compile(r"step-(\d+)\.safetensors")
#: the checksum in the header; a quote inside of a fact is escaped there, so nothing else reads like this
_SUM = re.compile(rb'"sha256":"([0-9a-f]{64})"')
_NO_SUM = b"0" * 64
#: a file that was being written so long ago will not be finished, in seconds
_LEFT_OVER = 3600


@dataclass(frozen=True)
class Checkpoint:
    """What a file held: arrays by name, facts that JSON can hold, the step they belong to, and of which run."""

    step: int
    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]
    run: str = ""


def write(
    folder: str | os.PathLike[str], step: int, arrays: Mapping[str, Any], facts: Mapping[str, Any], keep: int = 3,
    run: str = "",
) -> Path:  # fmt: skip
    """Write a checkpoint into the folder and take away all but the last `keep` of this `run`; returns the file.

    Raises `MissingExtraError` without safetensors, `TypeError` for facts that JSON cannot hold, `CheckpointError` where
    the disk takes no more, or where another run has a file of this step: what was there before stays.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = write(folder.name, 10, {"W": np.eye(2)}, {"lr": 0.1})
    >>> path.name, read(path).facts, read(path).arrays["W"].tolist()
    ('step-00000010.safetensors', {'lr': 0.1}, [[1.0, 0.0], [0.0, 1.0]])
    >>> folder.cleanup()
    """
    whole("checkpoint", "keep", keep)
    with extra("train"):
        from safetensors.numpy import save
    held = {name: np.array(value, order="C") for name, value in arrays.items()}
    header = {"kind": KIND, "step": str(step), "run": run, "facts": json.dumps(facts), "sha256": _NO_SUM.decode()}
    data = _summed(save(held, header))
    folder = make_ready(folder)
    path = folder / f"step-{step:08d}.safetensors"
    if path.exists() and _run_of(path) not in (run, None):
        raise CheckpointError(f"{path} was written by another run: give each run a folder of its own")
    try:
        _sweep(folder)
        write_atomically(path, data, durable=True)
    except OSError as error:
        there = checkpoints(folder)
        kept = f"the last one kept is {there[-1].name}" if there else "there is none before it"
        raise CheckpointError(f"{path}: cannot be written ({error.strerror or error}); {kept}") from error
    for old in [other for other in checkpoints(folder) if _run_of(other) == run][:-keep]:
        old.unlink(missing_ok=True)
    return path


def make_ready(folder: str | os.PathLike[str]) -> Path:
    """The folder, made if it is not there; raises `CheckpointError` where nothing can be written."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"{folder}: is no folder for checkpoints ({error.strerror or error})") from error
    if not os.access(folder, os.W_OK):
        raise CheckpointError(f"{folder}: this folder cannot be written to")
    return folder


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """What `write` wrote; raises `CheckpointError` for a file that is damaged or not ours."""
    with extra("train"):
        from safetensors import SafetensorError
        from safetensors.numpy import load
    try:
        data = Path(path).read_bytes()
        header = _header(data)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a whole checkpoint ({error}){_instead(Path(path))}") from None
    # the sum before all else: an arbitrary byte can make another kind, step or rate of what was written
    if _SUM.search(data) is None:
        older = str(header.get("kind", "")).startswith(KIND.partition(", ")[0])
        told = "written by an earlier version, or damaged" if older else "no checkpoint of a training run"
        raise CheckpointError(f"{path}: a safetensors file, but {told}")
    if _summed(data) != data:
        told = "its bytes are not those that were written"
        raise CheckpointError(f"{path}: not a whole checkpoint ({told}){_instead(Path(path))}")
    try:
        if header["kind"] != KIND:
            raise CheckpointError(f"{path}: this is a {header['kind']}, not a {KIND}")
        return Checkpoint(int(header["step"]), load(data), json.loads(header["facts"]), header["run"])
    except (SafetensorError, ValueError, KeyError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: not a whole checkpoint ({error}){_instead(Path(path))}") from None


def checkpoints(folder: str | os.PathLike[str]) -> list[Path]:
    """The checkpoints in a folder, oldest first; none if there is no folder."""
    folder = Path(folder)
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found, key=lambda path: int(path.stem.partition("-")[2]))


def runs(folder: str | os.PathLike[str]) -> dict[str, list[Path]]:
    """The checkpoints of a folder by the run that wrote them; those that cannot be read stand under their own name."""
    found: dict[str, list[Path]] = {}
    for path in checkpoints(folder):
        run = _run_of(path)
        found.setdefault(path.name if run is None else run, []).append(path)
    return found


def _header(data: bytes) -> dict[str, Any]:
    """What a safetensors file says of itself; raises `ValueError` where it says nothing."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 + size:
        raise ValueError(f"it ends after {len(data)} bytes")
    header = json.loads(data[8 : 8 + size])
    if not isinstance(header, dict):
        raise ValueError("its header is no table")
    return header.get("__metadata__") or {}


def _run_of(path: Path) -> str | None:
    """Which run wrote a file, by its header alone; None where that cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
            return str(_header(start + file.read(int.from_bytes(start, "little")))["run"])
    except (OSError, ValueError, KeyError, OverflowError, MemoryError):
        return None


def _summed(data: bytes) -> bytes:
    """The file with the checksum over all of its bytes, taken with zeros where the checksum itself stands."""
    found = _SUM.search(data)
    if found is None:  # cannot be of what `write` just made
        raise CheckpointError("a checkpoint without the place of its checksum")
    before, behind = data[: found.start(1)], data[found.end(1) :]
    total = sha256(before)
    total.update(_NO_SUM)
    total.update(behind)
    return b"".join([before, total.hexdigest().encode(), behind])


def _sweep(folder: Path) -> None:
    """Take away what killed runs left half written; what may still be in the writing stays."""
    for left_over in folder.glob(".step-*.tmp"):
        with suppress(OSError):  # another run may have finished it, or taken it away, in this moment
            if time.time() - left_over.stat().st_mtime > _LEFT_OVER:
                left_over.unlink()


def _instead(path: Path) -> str:
    """What to do about a damaged file."""
    older = [other.name for other in checkpoints(path.parent) if other.name < path.name]
    return f": delete it to go on from {older[-1]}" if older else ""
