"""A training run on disk: one file that is either whole or not there.

Arrays and facts of one moment stand in one safetensors file, the facts as JSON in its header, so they can never be of
different steps; it is written beside its place, forced to disk and then renamed, so a killed process leaves the file of
before. Nothing in it is ever run. What a run consists of is in `snapshot`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from ..core.errors import CheckpointError
from ..core.extras import extra
from ..nn.given import whole

KIND = "tinygrad_rnn checkpoint, version 1"
_NAME = re.compile(r"step-(\d+)\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """What a file held: arrays by name, facts that JSON can hold, and the step they belong to."""

    step: int
    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


def write(
    folder: str | os.PathLike[str], step: int, arrays: Mapping[str, Any], facts: Mapping[str, Any], keep: int = 3
) -> Path:
    """Write a checkpoint into the folder and take away all but the last `keep`; returns the file.

    Raises `MissingExtraError` without safetensors, `TypeError` for facts that JSON cannot hold, `CheckpointError` where
    the disk takes no more: what was there before stays.

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
    header = {"kind": KIND, "step": str(step), "facts": json.dumps(facts), "crc32": str(_checksum(held.items()))}
    folder = make_ready(folder)
    path = folder / f"step-{step:08d}.safetensors"
    try:
        _write_whole(path, save(held, header))
    except OSError as error:
        there = checkpoints(folder)
        kept = f"the last one kept is {there[-1].name}" if there else "there is none before it"
        raise CheckpointError(f"{path}: cannot be written ({error.strerror or error}); {kept}") from error
    for old in checkpoints(folder)[:-keep]:
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
        from safetensors import SafetensorError, safe_open
    try:
        with safe_open(path, framework="np") as file:
            header = file.metadata() or {}
            if header.get("kind") != KIND:
                raise CheckpointError(f"{path}: a safetensors file, but no checkpoint of a training run")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            step, facts, expected = int(header["step"]), json.loads(header["facts"]), int(header["crc32"])
    except CheckpointError:
        raise
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: not a whole checkpoint ({error}){_instead(Path(path))}") from None
    if _checksum(arrays.items()) != expected:
        raise CheckpointError(f"{path}: the arrays are not those that were written{_instead(Path(path))}")
    return Checkpoint(step, arrays, facts)


def checkpoints(folder: str | os.PathLike[str]) -> list[Path]:
    """The checkpoints in a folder, oldest first; none if there is no folder."""
    folder = Path(folder)
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found, key=lambda path: int(path.stem.partition("-")[2]))


def _write_whole(path: Path, data: bytes) -> None:
    """Replace the file at once: whoever looks sees the old one or the new one."""
    for left_over in path.parent.glob(".step-*.tmp"):
        left_over.unlink(missing_ok=True)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    if os.name == "posix":  # the new name must be on disk as well
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _checksum(arrays: Iterable[tuple[str, np.ndarray]]) -> int:
    total = 0
    for name, value in sorted(arrays):
        total = crc32(np.ascontiguousarray(value).tobytes(), crc32(name.encode(), total))
    return total


def _instead(path: Path) -> str:
    """What to do about a damaged file."""
    older = [other.name for other in checkpoints(path.parent) if other.name < path.name]
    return f": delete it to go on from {older[-1]}" if older else ""
