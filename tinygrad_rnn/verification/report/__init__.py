"""Verdicts as a person reads them: in a terminal, as Markdown and as a page, each a function over `results`."""

from __future__ import annotations

from ..results import FileVerdicts, Verdicts
from .html import notes_page, page
from .markdown_report import markdown, notes_markdown
from .terminal import notes_text, text


class Report(Verdicts):
    """All verdicts on a derivation; `str(report)` is for a terminal, `to_dict()` is the same as data."""

    def to_markdown(self) -> str:
        """The report as Markdown."""
        return markdown(self)

    def to_html(self) -> str:
        """The report as one HTML page that needs nothing else: no network, no script."""
        return page(self)

    def __str__(self) -> str:
        return text(self)


class Notes(FileVerdicts):
    """The verdicts on every block of a Markdown file, as a report has those on one derivation."""

    def to_markdown(self) -> str:
        """One section a block, as Markdown."""
        return notes_markdown(self)

    def to_html(self) -> str:
        """One page with a section for each block."""
        return notes_page(self)

    def __str__(self) -> str:
        return notes_text(self)


__all__ = ["Notes", "Report"]
