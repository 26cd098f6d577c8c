"""A text, places in it, and errors that point at them.

Every complaint about an equation file is made here, by `Source.error`, so that all of them look the same: place, what
was found, the line with a caret, what to do. What is right or wrong about a text is decided elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ...core.atomic_files import printable
from ...core.errors import LanguageError

LARGEST_FILE = 1_000_000
WINDOW = 100
LONGEST_LINE = 400


class Span(NamedTuple):
    """A stretch of text: `line` and `column` count from 1, `end` is the column after it on that line, `start` and
    `stop` are offsets into the text."""

    line: int
    column: int
    end: int
    start: int
    stop: int

    def to(self, other: Span) -> Span:
        """From the beginning of this span to the end of the other."""
        end = other.end if other.line == self.line else self.end
        return Span(self.line, self.column, end, self.start, other.stop)


#: the place of what nobody wrote
NOWHERE = Span(1, 1, 1, 0, 0)


class Source:
    """A text with its name; `first_line` is the number of its first line, for a block inside a larger file."""

    def __init__(self, text: str, name: str = "<text>", first_line: int = 1) -> None:
        self.name, self.first_line = name, first_line
        if len(text) > LARGEST_FILE:
            raise LanguageError(
                f"the text has {len(text):,} characters; at most {LARGEST_FILE:,} are read",
                name,
                hint="a model is a page of equations",
            )
        if "\0" in text:
            raise LanguageError("this is not a text: it holds NUL bytes", name, hint="expected equations as UTF-8 text")
        self.text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        self._starts = [0, *(found.end() for found in re.finditer("\n", self.text))]

    @classmethod
    def from_path(cls, path: Path, expected: str) -> Source:
        """Read a file; raises `LanguageError`, with the hint what was `expected`, where it cannot be read."""
        try:
            with path.open("rb") as file:  # one byte more than is allowed, so that a device or a huge file ends too
                return cls.from_bytes(file.read(LARGEST_FILE + 1), printable(path))
        except (OSError, ValueError) as error:
            if isinstance(error, LanguageError):
                raise
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise LanguageError(f"cannot read this file: {reason}", printable(path)[:200], hint=expected) from None

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Source:
        """Decode a file; raises `LanguageError` for one that is too large or no UTF-8 text."""
        if len(data) > LARGEST_FILE:
            raise LanguageError(
                f"the file is larger than {LARGEST_FILE:,} bytes",
                name,
                hint="a model is a page of equations",
            )
        if b"\0" in data:
            raise LanguageError("this is a binary file", name, hint="expected equations as UTF-8 text")
        try:
            return cls(data.decode("utf-8"), name)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise LanguageError("this is not UTF-8 text", name, line, hint="save the file as UTF-8") from None

    def __len__(self) -> int:
        return len(self._starts)

    def span(self, start: int, stop: int) -> Span:
        """The span between two offsets; on the line where it begins."""
        row = bisect_right(self._starts, start) - 1
        first = self._starts[row]
        last = self._starts[row + 1] - 1 if row + 1 < len(self._starts) else len(self.text)
        return Span(row + self.first_line, start - first + 1, min(stop, last) - first + 1, start, stop)

    def line(self, number: int) -> str:
        """The text of a line, by its number in the file."""
        row = number - self.first_line
        if not 0 <= row < len(self._starts):
            return ""
        stop = self._starts[row + 1] - 1 if row + 1 < len(self._starts) else len(self.text)
        return self.text[self._starts[row] : stop]

    def quote(self, span: Span) -> str:
        """What the user wrote there, on one line."""
        return " ".join(re.sub(r"#[^\n]*", "", self.text[span.start : span.stop]).split())

    def error(
        self, message: str, span: Span, *, hint: str = "", notes: Iterable[str] = (), marks: Iterable[Span] = ()
    ) -> LanguageError:
        """An error at `span`, its line underlined there with `^` and at `marks` with `~`; the notes stand below."""
        line = self.line(span.line)
        shown = _underlined(line, span, [m for m in marks if m.line == span.line]) if line.strip() else []
        excerpt = [*shown, *map(_clipped, notes)]
        return LanguageError(_clipped(message), self.name, span.line, span.column, "\n".join(excerpt), hint)


def _clipped(text: str) -> str:
    return text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 2] + " …"


def _underlined(line: str, span: Span, marks: list[Span]) -> list[str]:
    under = [" "] * (max(len(line), span.end, span.column) + 1)
    for mark in marks:
        under[mark.column - 1 : mark.end - 1] = "~" * (mark.end - mark.column)
    width = min(max(1, span.end - span.column), WINDOW)
    under[span.column - 1 : span.column - 1 + width] = "^" * width
    first, last = _window(len(line), span.column - 1)
    first = max(first, len(line) - len(line.lstrip())) if first == 0 else first
    first = min(first, span.column - 1)
    left, right = "… " if first and line[:first].strip() else "", " …" if last < len(line) else ""
    shown = "".join(map(_printable, line[first:last]))
    below = "".join(
        mark * _width(char) for char, mark in zip(line[first:last].ljust(last - first), under[first:last], strict=False)
    )
    tail = "".join(under[last : last + 1]) if last >= len(line) else ""
    return [left + shown + right, (" " * len(left) + below + tail).rstrip()]


def _window(length: int, at: int) -> tuple[int, int]:
    if length <= WINDOW + 10:
        return 0, length
    first = max(0, min(at - WINDOW // 2, length - WINDOW))
    return first, min(length, first + WINDOW)


def _printable(char: str) -> str:
    if char == "\t":
        return " "
    return char if char.isprintable() else "\ufffd"


def _width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def listed(words: Iterable[str], last: str = "or") -> str:
    """`a, b or c`."""
    *first, end = list(words) or ["nothing"]
    return f"{', '.join(first)} {last} {end}" if first else end
