"""Notice when a function looks at a value while it is recorded.

What is recorded once is run for other values, so a branch taken because of a value would be taken for ever. While a
function is recorded, whatever turns a Tensor into a plain number or truth value raises, and names the line that did.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import RLock
from typing import Any

from ...core import tensor as tensor_module
from ...core.looks import uncopied
from ...core.tensor import PLAIN, Tensor
from ..unsupported import CompileError

_recording: ContextVar[bool] = ContextVar("tinygrad_rnn_compile_recording", default=False)
#: one thread records at a time
RECORDING = RLock()
_CORE = str(Path(__file__).resolve().parents[2] / "core")
_PACKAGE = str(Path(__file__).resolve().parents[2])

_METHODS = {
    "__bool__": "its truth", "__float__": "its value as a float", "item": "its value", "numpy": "its value",
    "__eq__": "a comparison with it", "__ne__": "a comparison with it", "__lt__": "a comparison with it",
    "__le__": "a comparison with it", "__gt__": "a comparison with it", "__ge__": "a comparison with it",
}  # fmt: skip


@contextmanager
def watched() -> Iterator[None]:
    """While the block lasts (in this thread), looking at a Tensor's value raises `CompileError`."""
    with RECORDING, uncopied():
        originals = {name: Tensor.__dict__[name] for name in _METHODS}
        dispatch = tensor_module._dispatch
        token = _recording.set(True)
        for name, original in originals.items():
            setattr(Tensor, name, _guarded(original, _METHODS[name]))
        tensor_module._dispatch = _guarded_dispatch(dispatch)
        try:
            yield
        finally:
            _recording.reset(token)
            tensor_module._dispatch = dispatch
            for name, original in originals.items():
                setattr(Tensor, name, original)


def _guarded(original: Callable[..., Any], what: str) -> Callable[..., Any]:
    def method(self: Tensor, *args: Any) -> Any:
        if _recording.get() and not _is_plain(self) and not _asked_by_core():
            raise CompileError(_told(self, what))
        return original(self, *args)

    return method


def _guarded_dispatch(original: Callable[..., Any]) -> Callable[..., Any]:
    def dispatch(function: Any, args: Any, kwargs: Any) -> Any:
        if _recording.get() and function in PLAIN and function.__name__ not in _OF_SHAPES and not _asked_by_core(3):
            for x in args:
                if isinstance(x, Tensor) and not _is_plain(x):
                    raise CompileError(_told(x, f"np.{function.__name__} of it"))
        return original(function, args, kwargs)

    return dispatch


#: plain functions whose result depends on the shape and dtype alone
_OF_SHAPES = frozenset({"shape", "ndim", "size", "zeros_like", "ones_like", "empty_like", "full_like", "result_type"})


def _is_plain(x: Tensor) -> bool:
    return x.op is None and x.name is None and not x.requires_grad


def _asked_by_core(depth: int = 2) -> bool:
    return sys._getframe(depth).f_code.co_filename.startswith(_CORE)


def refuse_while_recorded(what: str, instead: str) -> None:
    """Raise `CompileError` while a function is recorded: what happens here would be the same in every later call."""
    if _recording.get():
        raise CompileError(
            f"{_line()}: this line {what} while the function is recorded, so that every later call would use the same: "
            f"{instead}, or run it eagerly"
        )


def _line() -> str:
    """The line of the user's that led here."""
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}, in {frame.f_code.co_name}"


def _told(x: Tensor, what: str) -> str:
    kind = f"the tensor {x.name}" if x.name else f"a result of {x.op.name}" if x.op else "a tensor"
    return (
        f"{_line()}: this line asks for {what} ({kind}, shape {x.shape}) while the function is recorded; what follows "
        "from a value cannot be compiled: use np.maximum, tg.relu or a mask that is an argument, or run it eagerly"
    )
