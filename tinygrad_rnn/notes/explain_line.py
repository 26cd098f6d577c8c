"""One line of a document in full: what was read there, sign by sign, how it was judged, and what was voted."""

from __future__ import annotations

from .document_report import DocumentReport, claim_lines
from .notation import Formula
from .show_notation import shown_statement


def explained_line(report: DocumentReport, line: int) -> str:
    """The statements that begin on a line as trees, their verdicts, and the conventions; "" if none begins there."""
    found = report.found
    parts: list[str] = []
    for page in found.pages.pages if found.pages else ():
        where = f"cell {page.cell}, line {line}" if page.cell is not None else f"line {line}"
        for formula in (item for item in page.items if isinstance(item, Formula)):
            statements = [each for each in formula.statements if page.place(each.extent.start)[0] == line]
            parts += [f"{where}: {shown_statement(each)}" for each in statements]
            unread = [each for each in formula.unread if page.place(each.extent.start)[0] == line]
            parts += [f"{where}: not read: {each.reason}" for each in unread]
    if not parts:
        return ""
    parts += [said for claim in found.claims if claim.line == line for said in claim_lines(claim)]
    for vote in found.conventions:
        votes = ", ".join(f"{choice}: {count}" for choice, count in vote.votes)
        parts.append(f"{vote.about}: {vote.choice} ({votes or vote.origin})")
    return "\n".join(parts)
