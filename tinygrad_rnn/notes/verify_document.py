"""Judge a document: the claims in its formulas, and the blocks of equations that are marked `rnn`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..core.errors import LanguageError
from ..language.syntax.markdown import blocks
from ..language.syntax.source import Source
from ..verification.notes import judge_blocks
from .document_report import DocumentReport
from .document_verdict import DocumentVerdict
from .judge_notes import judge_document
from .notation import Directive, Formula, Pages
from .reading.read_document import SUFFIXES, read_document


def is_document(source: Source) -> bool:
    """Whether a text is a document with formulas, by the ending of its name, rather than an equation file."""
    return Path(source.name).suffix.lower() in SUFFIXES


def verify_document(
    source: Source | str | Path, T: int | None = None, seeds: int = 3, lengths: Mapping[str, int] | None = None
) -> DocumentReport:
    """Judge a document of lecture notes: Markdown, LaTeX, a notebook, or plain text with formulas.

    `T`, `seeds` and `lengths` are those of blocks marked `rnn`, as for `tg.verify`. Raises `LanguageError` for a file
    that cannot be read, and for one with neither a formula nor a block.

    >>> text = "$$h_t = \\\\tanh(W h_{t-1} + U x_t)$$ $$L = \\\\sum_t \\\\ell(h_t)$$"
    >>> report = verify_document(Source(text, "notes.md"))
    >>> report.verdict, report.code
    ('EMPTY', 3)
    """
    if not isinstance(source, Source):
        source = Source.from_path(Path(source), "expected a document: .md, .tex, .ipynb or .txt")
    pages = read_document(source)
    _refuse_settings(pages)
    marked = blocks(source) if Path(source.name).suffix.lower() != ".ipynb" else []
    judged = judge_blocks(source, marked, T, seeds, lengths)
    has_formulas = any(isinstance(item, Formula) for page in pages.pages for item in page.items)
    if not has_formulas and not marked:
        hint = "write formulas between $ signs, or mark each block that holds equations as ```rnn"
        raise LanguageError("there is neither a formula nor a block marked rnn in this file", source.name, hint=hint)
    found = judge_document(pages) if has_formulas else DocumentVerdict(source.name, (), (), (), ())
    return DocumentReport(replace(found, blocks=tuple(judged), pages=pages), seeds)


def _refuse_settings(pages: Pages) -> None:
    """Raise `LanguageError` for a line that is meant to steer the judge: to read past it would be worse."""
    for page in pages.pages:
        for item in page.items:
            if isinstance(item, Directive):
                line, column = page.place(item.extent.start)
                said = "; ".join(f"{key}: {value}" if value else key for key, value in item.settings)
                told = f"conventions cannot be stated yet, they are voted: take out `rnn: {said}`"
                raise LanguageError(f"{page.file}:{line}:{column}: {told}")
