"""A report as plain text for a terminal: one line an equation, details only for what fails.

Colour never says anything that a word does not say as well. Which verdict is given is decided elsewhere.
"""

from __future__ import annotations

import os
import re
import textwrap
import unicodedata
from collections.abc import Iterator
from typing import TextIO

from ..results import FAIL, INCOMPLETE, INCONCLUSIVE, PASS, PROVED, WRONG_VERDICTS, FileVerdicts, Row, Verdicts

#: so many steps of two indices are listed one by one
MOST_PAIRS = 8
WIDTH = 100
_CODES = {
    PASS: "32",
    PROVED: "1;32",
    **dict.fromkeys(WRONG_VERDICTS, "1;31"),
    INCOMPLETE: "33",
    INCONCLUSIVE: "33",
    "UNUSABLE": "1;31",
    "EMPTY": "2",
    "right": "32",
    "wrong": "1;31",
    "extra": "1;31",
    "missing": "1;31",
}


def show(report: Verdicts | FileVerdicts, stream: TextIO) -> None:
    """Print a report or a file of notes, in colour where that is welcome."""
    colour = wants_colour(stream)
    print(text(report, colour) if isinstance(report, Verdicts) else notes_text(report, colour), file=stream)


def wants_colour(stream: TextIO) -> bool:
    """Whether colour is welcome: a terminal, and nobody has set NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def text(report: Verdicts, colour: bool = False) -> str:
    """The whole report."""
    paint = _Paint(colour)
    head = f"{safe(report.model)}: {paint(report.verdict)}    ({safe(report.source)}, {', '.join(report.tried_on)})"
    lines = [head, "", *_table(report, report.rows, paint), "", *_reach(report)]
    lines.append(safe(str(report.engine)))
    if report.probe is not None:
        lines.append(safe(f"the probe {report.probe}"))
    lines += [part for said in _tried(report) for part in _wrapped(said, "")]
    return "\n".join([*lines, *(part for note in report.notes for part in _wrapped(note, ""))])


def notes_text(notes: FileVerdicts, colour: bool = False) -> str:
    """A file of notes: one line a block, details only for what fails."""
    paint = _Paint(colour)
    count = f"{len(notes.blocks)} block{'s' if len(notes.blocks) != 1 else ''}"
    lines = [f"{safe(notes.name)}: {paint(notes.verdict)}    ({count}, {', '.join(notes.tried_on)})"]
    for block in notes.blocks:
        lines.append("")
        where = f"line {block.line}: {safe(block.title)}"
        if block.report is None:
            lines.append(f"{where}: {paint(block.verdict)}")
            lines += [f"  {_printable(said)}" for said in block.message.splitlines()]
            continue
        report = block.report
        right = sum(row.verdict in (PASS, PROVED) for row in report.rows)
        lines.append(f"{where}: {paint(block.verdict)}    {right} of {len(report.rows)} equations right")
        lines += _table(report, [row for row in report.rows if row.verdict not in (PASS, PROVED)], paint)
        lines += [f"  {said}" for said in _reach(report)]
        if report.probe is not None and not report.probe.ok:
            lines.append(safe(f"  the probe {report.probe}"))
        lines += [f"  {part}" for note in report.notes for part in _wrapped(note, "")]
    return "\n".join(lines)


def safe(said: str) -> str:
    """Text of a stranger on one line: nothing in it reaches the terminal as a command."""
    return _printable(" ".join(said.split()))


def _printable(said: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in said)


class _Paint:
    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def __call__(self, word: str, width: int = 0) -> str:
        padded = word.ljust(width)
        return f"\x1b[{_CODES[word]}m{padded}\x1b[0m" if self.colour and word in _CODES else padded


def _tried(report: Verdicts) -> Iterator[str]:
    """The sizes that were tried, and the shapes as inferred."""
    if report.said_sizes:
        yield f"sizes tried: {report.said_sizes}"
    if report.said_shapes:
        yield f"shapes: {report.said_shapes}"


def _table(report: Verdicts, rows: list[Row], paint: _Paint) -> Iterator[str]:
    width = max((_columns(row.name) for row in report.rows), default=0)
    for row in rows:
        line = f"  line {row.line:>3}" if row.line else ""
        worst = row.worst
        figures = row.why
        if worst is not None:
            known = worst.error == worst.error
            figures = f"error {worst.error:.1e}, rounding explains {worst.bound:.1e}" if known else worst.why
            figures += "".join(f"  ({why})" for why in (worst.why if known else "", row.why) if why)
        yield f"  {row.name}{' ' * (width - _columns(row.name))}{line}  {paint(row.verdict, 12)}  {figures}".rstrip()
        if row.verdict in WRONG_VERDICTS or row.excerpt:
            yield from _details(row, " " * (width + 4), paint)
        elif row.verdict == PASS and row.unproved:
            yield from _wrapped(f"not proved: {row.unproved}", " " * (width + 4))


def _details(row: Row, margin: str, paint: _Paint) -> Iterator[str]:
    if row.excerpt:
        yield from (margin + _printable(line) for line in row.excerpt.splitlines())
    elif row.text:
        yield from _equation(row.text, margin)
    wrong, right = row.at(FAIL), row.at(PASS)
    if wrong:
        where = f"wrong at {row.time} = {_listed(wrong)}"
        where += f" ({row.length} = {row.shown})" if len({step.T for step in row.steps}) > 1 else ""
        yield margin + where + (f"; right at {row.time} = {_listed(right)}" if right else "")
    if row.explanation or row.mistake:
        said = ": ".join(part for part in (row.mistake, row.explanation) if part)
        yield from _wrapped(said, margin)
    if len(row.terms) > 1:
        for term in row.terms:
            yield f"{margin}  {paint(term.verdict, 7)}  {safe(term.text)}"


def _reach(report: Verdicts) -> list[str]:
    """What the mistakes do downstream."""
    return _wrapped(report.reach(), "") if report.followed else []


def _equation(said: str, margin: str) -> Iterator[str]:
    """An equation, broken where a term begins."""
    line = margin
    for piece in _terms(safe(said)):
        if line.strip() and len(line) + len(piece.rstrip()) > WIDTH:
            yield line.rstrip()
            line = f"{margin}    "
        line += piece
    yield line.rstrip()


def _terms(said: str) -> Iterator[str]:
    """The stretches between + and - signs that stand in no bracket."""
    depth, start = 0, 0
    for position, char in enumerate(said):
        depth += (char in "([") - (char in ")]")
        if depth == 0 and position > start and char in "+-" and said[position - 1 : position + 2] in (" + ", " - "):
            yield said[start:position]
            start = position
    yield said[start:]


def _wrapped(said: str, margin: str, width: int = WIDTH) -> list[str]:
    """Lines of at most `width` characters, later ones indented; what is quoted in backticks stays on one line."""
    kept = re.sub(r"`[^`]*`|\d x \d", lambda whole: whole[0].replace(" ", "\u00a0"), safe(said))
    lines = textwrap.wrap(kept, width - len(margin) - 2, break_long_words=False, break_on_hyphens=False) or [""]
    lines = [line.replace("\u00a0", " ") for line in lines]
    return [margin + lines[0], *(f"{margin}  {line}" for line in lines[1:])]


def _columns(said: str) -> int:
    """The width on a terminal: a tilde above a letter takes none."""
    return sum(not unicodedata.combining(char) for char in said)


def _listed(steps: list[int | tuple[int, ...]]) -> str:
    """`1, 2, 4`, or `1 to 9` for a long stretch."""
    first, last = steps[0], steps[-1]
    if isinstance(first, int) and isinstance(last, int) and len(steps) > 4 and steps == [*range(first, last + 1)]:
        return f"{first} to {last}"
    shown = (
        list(map(str, steps))
        if len(steps) <= MOST_PAIRS or isinstance(first, int)
        else [*map(str, steps[: MOST_PAIRS - 2]), "…", str(last)]
    )
    return ", ".join(shown)
