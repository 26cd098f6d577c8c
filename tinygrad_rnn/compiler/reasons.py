"""Why a function runs in another form than it could: what it said when it was recorded, or what no pass could do."""

from __future__ import annotations

import traceback
from pathlib import Path

from ..core.errors import TinygradError

_PACKAGE = str(Path(__file__).resolve().parents[1])


def of_function(error: Exception, steps: int) -> str:
    """What a function raised when it was given Tensors; `steps`: and sequences cut to so many steps, if any."""
    if isinstance(error, TinygradError):
        return str(error)
    cut = f" and {steps} steps" if steps else ""
    return f"given Tensors{cut} it raises {type(error).__name__}: {error}{_place(error, inside=False)}"


def of_compiler(error: Exception) -> str:
    """Why a pass did not make anything of a recording; whatever it did not mean to say is a fault of it."""
    if isinstance(error, TinygradError):
        return str(error)
    told = f"{type(error).__name__}: {error}{_place(error, inside=True)}"
    return f"the compiler fails, which is a fault of it: {told}; please report it with the function"


def _place(error: Exception, inside: bool) -> str:
    """The last line of the traceback that is inside of this package, or outside of it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(_PACKAGE) is inside]
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno}, in {frames[-1].name})" if frames else ""
