"""See the functions of a program return, as a profiler does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def on_return(note: Callable[[FrameType, Any], None]) -> Iterator[None]:
    """While the block lasts, call `note` with the frame and the result of each Python function that returns.

    A profiler that runs already is set again at the end.

    >>> seen = []
    >>> def double(x):
    ...     return 2 * x
    >>> with on_return(lambda frame, result: seen.append((frame.f_code.co_name, result))):
    ...     _ = double(3)
    >>> ("double", 6) in seen
    True
    """

    def profile(frame: FrameType, event: str, result: Any) -> None:
        if event == "return":
            note(frame, result)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)
