"""A report as Markdown: a table of verdicts by time step, and a section for each wrong equation.

Names, comments and file names are written by strangers: outside of code they are escaped, inside of code fenced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..results import FAIL, INCONCLUSIVE, PASS, FileVerdicts, Row, Verdicts
from .html import capital, quoted

_SIGNS = {PASS: "✓", FAIL: "✗", INCONCLUSIVE: "?"}
#: longer sequences have one column for all steps
MOST_STEPS = 9


def markdown(report: Verdicts, depth: int = 1) -> str:
    """The report of one derivation, its headings from `depth` on."""
    head = f"{'#' * depth} {escaped(report.model)}: {report.verdict}"
    return "\n".join([head, "", *_body(report, depth)]) + "\n"


def notes_markdown(notes: FileVerdicts) -> str:
    """A file of notes: one section a block."""
    parts = [f"# {escaped(notes.name)}: {notes.verdict}\n"]
    for block in notes.blocks:
        parts.append(f"## {escaped(block.title)}, line {block.line}: {block.verdict}\n")
        if block.report is None:
            parts.append(_fenced(block.message) + "\n")
        else:
            parts.append("\n".join(_body(block.report, 2)) + "\n")
    return "\n".join(parts)


def _body(report: Verdicts, depth: int) -> Iterator[str]:
    yield f"{escaped(report.source)}, {', '.join(report.tried_on)}"
    yield ""
    yield from _table(report)
    for row in report.failed:
        yield from _section(row, depth + 1)
    if report.followed:
        yield f"\n{capital(report.reach(code))}."
    yield f"\n- {escaped(str(report.engine))}"
    if report.said_sizes:
        yield f"- sizes tried: {escaped(report.said_sizes)}"
    if report.said_shapes:
        yield f"- shapes: {escaped(report.said_shapes)}"
    if report.probe is not None:
        yield f"- the probe {escaped(str(report.probe))}"
    yield from (f"- {escaped(note)}" for note in report.notes)


def _table(report: Verdicts) -> Iterator[str]:
    one = all(isinstance(step.t, int) for row in report.rows for step in row.steps if step.t is not None)
    usual = one and all(row.axes == ("t",) for row in report.rows) and report.T <= MOST_STEPS
    several = len({step.T for row in report.rows for step in row.steps}) > 1
    longest = max([report.T, *(step.T for row in report.rows for step in row.steps)])
    times = [f"t = {t}" for t in range(1, longest + 1)] if usual else ["steps"]
    times = times if any(step.t is not None for row in report.rows for step in row.steps) else []
    columns = ["equation", "line", "verdict", *times, "error", "rounding explains"]
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "|".join("---" for _ in columns) + "|"
    for row in report.rows:
        worst = row.worst
        figures = [f"{worst.error:.1e}", f"{worst.bound:.1e}"] if worst is not None else ["", ""]
        verdict = [code(row.name), str(row.line or ""), f"**{row.verdict}**"]
        T = row.shown if several else report.T
        cells = [*verdict, *_steps(row, T, len(times)), *figures]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _steps(row: Row, T: int, columns: int) -> list[str]:
    if columns == 1 and T > 1:
        return [" ".join(f"{sign} {len(row.at(verdict))}" for verdict, sign in _SIGNS.items() if row.at(verdict))]
    signs = {step.t: _SIGNS[step.verdict] for step in row.steps if step.T in (T, 0)}
    return [signs.get(t, "") for t in range(1, columns + 1)]


def _section(row: Row, depth: int) -> Iterator[str]:
    line = f", line {row.line}" if row.line else ""
    yield f"\n{'#' * depth} {code(row.name)}{line}\n"
    if row.excerpt or row.text:
        yield _fenced(row.excerpt or row.text) + "\n"
    wrong, right = row.at(FAIL), row.at(PASS)
    if wrong:
        where = f"Wrong at {row.time} = {', '.join(map(str, wrong))}"
        where += f" ({row.length} = {row.shown})" if len({step.T for step in row.steps}) > 1 else ""
        yield where + (f"; right at {row.time} = {', '.join(map(str, right))}." if right else ".")
    if row.explanation or row.mistake:
        kind, told = f"**{escaped(row.mistake)}**" if row.mistake else "", _sentence(row.explanation)
        yield f"\n{': '.join(part for part in (kind, told) if part)}{'' if told.endswith('?') else '.'}\n"
    if len(row.terms) > 1:
        yield "| term | verdict |"
        yield "|---|---|"
        for term in row.terms:
            yield f"| {code(term.text).replace('|', chr(92) + '|')} | {escaped(term.verdict)} |"


def _sentence(said: str) -> str:
    parts = (code(part) if is_code else escaped(part) for part, is_code in quoted(said))
    return " ".join(parts).replace(" ,", ",").replace(" ;", ";")


def escaped(said: str) -> str:
    """Text that means itself, on one line."""
    flat = "".join(char if char.isprintable() else "\ufffd" for char in " ".join(said.split()))
    return re.sub(r"([\\`*_{}\[\]<>#|~$&!])", r"\\\1", flat)


def code(said: str) -> str:
    """A code span, whatever backticks it holds."""
    flat = " ".join(said.split())
    marks = "`" * (_longest_run(flat) + 1)
    edge = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{marks}{edge}{flat}{edge}{marks}"


def _fenced(said: str) -> str:
    marks = "`" * max(3, _longest_run(said) + 1)
    return f"{marks}\n{said}\n{marks}"


def _longest_run(said: str) -> int:
    return max((len(run) for run in re.findall("`+", said)), default=0)
