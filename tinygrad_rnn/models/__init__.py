"""The equation files that ship with the package, by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..language import Document, Model

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
    return _FOLDER / f"{file}.rnn" if str(file) in names() and not path.exists() else path


def read_any(source: str | Path) -> Document:
    """As `load_any`, but the document alone: names and shapes are not looked at."""
    from ..language import read

    return read(source if isinstance(source, str) and "\n" in source else resolve(source))


def load_any(source: str | Path) -> Model:
    """The model of a shipped name, a path, or a text of several lines.

    >>> load_any("lstm").name
    'LSTM'
    """
    from ..language import load

    return load(source if isinstance(source, str) and "\n" in source else resolve(source))
