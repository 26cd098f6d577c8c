"""The equation files that ship with the package stand for a file wherever one is read."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "models"


def names() -> list[str]:
    """The shipped models.

    >>> "vanilla" in names()
    True
    """
    return sorted(path.stem for path in FOLDER.glob("*.rnn"))


def resolve(file: str | Path) -> Path:
    """The path of a shipped model when `file` is its name (and no such file exists here), else `file` as a path.

    >>> resolve("vanilla").name
    'vanilla.rnn'
    """
    path = Path(file)
    return FOLDER / f"{file}.rnn" if str(file) in names() and not path.exists() else path
