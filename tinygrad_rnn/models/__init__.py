"""The equation files that ship with the package, by name."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The shipped models.

    >>> "vanilla" in names()
    True
    """
    return sorted(path.stem for path in _FOLDER.glob("*.rnn"))


def resolve(file: str | Path) -> Path:
    """The path of a shipped model when `file` is its name (and no such file exists here), else `file` as a path.

    >>> resolve("vanilla").name
    'vanilla.rnn'
    """
    path = Path(file)
    return _FOLDER / f"{file}.rnn" if not path.exists() and str(file) in names() else path
