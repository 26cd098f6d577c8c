"""How every plot of a run looks: small, serif, no box, printable in grey.

Here are the sheet a plot is drawn on and its colours; what is drawn stands with the data it shows. matplotlib is
imported when a picture is asked for, never before, and no global setting of it is touched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from ..core.atomic_files import write_atomically
from ..core.errors import GraphError, extra

INK, FAINT, BLUE, RED, GREEN = "#222222", "#9a9a9a", "#0072b2", "#b2401a", "#00795a"
_STYLE: Any = {
    "font.family": "serif",
    "font.serif": ["STIX Two Text", "STIXGeneral", "Times New Roman", "DejaVu Serif"],
    "mathtext.fontset": "stix",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "svg.hashsalt": "tinygrad_rnn",  # the same numbers give the same file
    "savefig.dpi": 200,
}


@contextmanager
def sheet(path: str | os.PathLike[str], columns: int = 1, width: float = 5.0, height: float = 3.0) -> Iterator[Any]:
    """Axes to draw on, one or a list of them side by side; the file is written when the block ends.

    Raises `MissingExtraError` where matplotlib is not installed, `GraphError` for a path that cannot be.
    """
    matplotlib = drawable(path)
    with matplotlib.rc_context(_STYLE):
        figure = matplotlib.figure.Figure(figsize=(width * columns, height), layout="constrained")
        axes = [figure.add_subplot(1, columns, i + 1) for i in range(columns)]
        yield axes[0] if columns == 1 else axes
        drawn = BytesIO()
        figure.savefig(drawn, format=Path(path).suffix[1:], metadata=_without_date(path))
    write_atomically(Path(path), drawn.getvalue())


def drawable(path: str | os.PathLike[str]) -> Any:
    """matplotlib, if a picture can stand at this path; see `sheet` for what is raised if not.

    That is a `GraphError` for a path that no plot can stand at.
    """
    with extra("train"):
        import matplotlib
        import matplotlib.figure
    place, kinds = Path(path), matplotlib.figure.Figure().canvas.get_supported_filetypes()
    if place.suffix[1:] not in kinds:
        raise GraphError(f"{place}: a plot is a file that ends in .svg, .pdf or .png, not {place.suffix or 'nothing'}")
    if not place.absolute().parent.is_dir():
        raise GraphError(f"{place}: there is no folder {place.parent}")
    return matplotlib


def at_end(axes: Any, x: float, y: float, text: str, color: str = INK) -> None:
    """A label at the right end of a line, in its colour: a legend nobody has to look up."""
    axes.annotate(text, (x, y), (4, 0), textcoords="offset points", color=color, va="center", annotation_clip=False)


def _without_date(path: str | os.PathLike[str]) -> dict[str, None] | None:
    field = {".svg": "Date", ".pdf": "CreationDate"}.get(Path(path).suffix)
    return {field: None} if field else None
