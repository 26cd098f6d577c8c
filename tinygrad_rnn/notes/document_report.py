"""What was found in a document, for a terminal, as data, and as an exit code: functions over `DocumentVerdict`."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from ..verification.report.terminal import notes_text, safe
from ..verification.results import (
    CIRCULAR,
    EMPTY,
    EXIT,
    FAIL,
    ILL_TYPED,
    INCOMPLETE,
    INCONCLUSIVE,
    PASS,
    PROVED,
    SCALAR,
    UNUSABLE,
    BlockVerdict,
    FileVerdicts,
)
from .document_verdict import (
    CONDITIONAL,
    DISAGREE,
    NOTATION,
    UNATTACHED,
    UNREAD,
    ClaimVerdict,
    DocumentVerdict,
)

WRONG_CLAIMS = (FAIL, ILL_TYPED, SCALAR, CIRCULAR, DISAGREE)
OPEN_CLAIMS = (CONDITIONAL, UNATTACHED, INCONCLUSIVE, INCOMPLETE)
RIGHT_CLAIMS = (PROVED, PASS, NOTATION)
#: of several verdicts the first of these is that of the document
WORST = (FAIL, ILL_TYPED, SCALAR, CIRCULAR, DISAGREE, UNUSABLE, *OPEN_CLAIMS, UNREAD, EMPTY, PASS, PROVED)
WIDTH = 100


@dataclass(frozen=True)
class DocumentReport:
    """The verdict on a document: `str(report)` is for a terminal, `to_dict()` the same as data."""

    found: DocumentVerdict
    seeds: int = 3

    @property
    def blocks(self) -> list[BlockVerdict]:
        """The verdicts on the blocks marked `rnn`."""
        return list(self.found.blocks)

    @property
    def verdict(self) -> str:
        """The worst verdict in the document; UNREAD for a formula with an equality that could not be read.

        EMPTY where nothing is claimed.
        """
        verdicts = [claim.verdict for claim in self.found.claims]
        blocks = [block.verdict for block in self.found.blocks if block.verdict != EMPTY]
        verdicts += [UNREAD for formula in self.found.unread if formula.has_equality]
        if not blocks and not any(verdict != NOTATION for verdict in verdicts):
            return UNUSABLE if self.found.blocks else EMPTY
        return next((worst for worst in WORST if worst in (*verdicts, *blocks)), EMPTY)

    @property
    def code(self) -> int:
        """The exit code: 0 all right, 1 something wrong, 2 a block that cannot be used, 3 something open."""
        verdict = self.verdict
        return 1 if verdict in WRONG_CLAIMS else 3 if verdict in (*OPEN_CLAIMS, UNREAD, EMPTY) else EXIT.get(verdict, 2)

    @property
    def ok(self) -> bool:
        """Whether every claim and every block is right."""
        return self.code == 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data: conventions with their votes, models, a dict for each claim and each block."""
        found = self.found
        return {
            "ok": self.ok,
            "verdict": self.verdict,
            "file": found.file,
            "conventions": {vote.about: vote.choice for vote in found.conventions if not vote.since},
            "votes": [vars(vote) | {"votes": dict(vote.votes)} for vote in found.conventions],
            "models": [vars(model) | {"states": list(model.states)} for model in found.models],
            "claims": [_claim(claim) for claim in found.claims],
            "unread": [vars(formula) for formula in found.unread],
            "repairs": list(found.repairs),
            "blocks": [block.to_dict() for block in found.blocks],
        }

    def __str__(self) -> str:
        return report_text(self)


def _claim(claim: ClaimVerdict) -> dict[str, Any]:
    return {
        "line": claim.line,
        "column": claim.column,
        "cell": claim.cell,
        "latex": claim.latex,
        "verdict": claim.verdict,
        "model": claim.model,
        "reading": claim.reading,
        "explanation": claim.explanation,
        "right_form": claim.right_form,
    }


def where(file: str, cell: int | None, line: int, column: int) -> str:
    """`notes.md:117:4`, in a notebook `notes.ipynb:cell 3:12:1`, as editors turn it into a link."""
    return f"{file}:{line}:{column}" if cell is None else f"{file}:cell {cell}:{line}:{column}"


def report_text(report: DocumentReport) -> str:
    """The report as a compiler prints it: one line a claim, and below it what is wrong and the right form."""
    found = report.found
    blocks = FileVerdicts(found.file, list(found.blocks), report.seeds)
    if found.blocks and not found.claims and not found.unread:
        return notes_text(blocks)
    counted = Counter(claim.verdict for claim in found.claims)
    ranked = sorted(counted.items(), key=lambda each: RANK[each[0]])
    said = ", ".join(f"{count} {verdict}" for verdict, count in ranked)
    lines = [f"{safe(found.file)}: {report.verdict}    ({len(found.claims)} claims: {said or 'none'})"]
    lines += [f"  {safe(each)}" for each in _settled(found)]
    lines.append("")
    for claim in found.claims:
        lines += claim_lines(claim)
    for formula in found.unread:
        place = where(safe(found.file), formula.cell, formula.line, formula.column)
        lines += [f"{place}: {UNREAD} {_short(formula.latex)}", *_folded(formula.reason)]
    if found.blocks:
        lines += ["", notes_text(blocks)]
    return "\n".join(lines)


RANK = {verdict: rank for rank, verdict in enumerate((*WORST, NOTATION))}


def _settled(found: DocumentVerdict) -> Iterator[str]:
    for vote in found.conventions:
        votes = ", ".join(f"{choice}: {count}" for choice, count in vote.votes)
        since = f" from {vote.since!r} on" if vote.since else ""
        yield f"{vote.about}{since}: {vote.choice}" + (f"  ({votes})" if votes else f"  ({vote.origin})")
    for model in found.models:
        given = f"; assumed: {', '.join(model.assumed)}" if model.assumed else ""
        yield f"model {model.name or 'without name'}, line {model.line}: {', '.join(model.states)}{given}"


def claim_lines(claim: ClaimVerdict) -> Iterator[str]:
    """A claim as a compiler says it, with what is wrong and the right form below it."""
    yield f"{where(safe(claim.file), claim.cell, claim.line, claim.column)}: {claim.verdict} {_short(claim.latex)}"
    if claim.verdict in RIGHT_CLAIMS and not claim.reading:
        return
    if claim.explanation:
        yield from _folded(claim.explanation)
    if claim.right_form:
        yield from _folded(f"right: {claim.right_form}")
    if claim.reading:
        yield from _folded(f"read: {claim.reading}")
    for reading, verdict in claim.readings[:3]:
        yield from _folded(f"as {reading}: {verdict}")


def _short(latex: str) -> str:
    line = safe(latex)
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def _folded(said: str) -> list[str]:
    return textwrap.wrap(safe(said), WIDTH, initial_indent="    ", subsequent_indent="    ", break_long_words=False)


def workflow_commands(report: DocumentReport) -> Iterator[str]:
    """The claims that are not right, as GitHub's workflow commands."""
    for claim in report.found.claims:
        if claim.verdict in RIGHT_CLAIMS:
            continue
        level = "error" if claim.verdict in WRONG_CLAIMS else "warning"
        said = " ".join(filter(None, (claim.explanation, claim.right_form and f"right: {claim.right_form}")))
        place = f"file={_property(claim.file)},line={claim.line},col={claim.column}"
        yield f"::{level} {place},title={claim.verdict}::{_data(safe(said) or claim.verdict)}"


def _data(said: str) -> str:
    return said.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(said: str) -> str:
    return _data(said).replace(":", "%3A").replace(",", "%2C")


def title_of(report: DocumentReport) -> str:
    """The name of the file, without its folders: a page may travel."""
    return PurePath(report.found.file).name
