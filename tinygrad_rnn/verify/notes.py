"""Judge a file: the one model of an equation file, or each block marked `rnn` of a Markdown file.

A block that cannot be read spoils nothing: the others are judged all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..core.errors import LanguageError, TinygradError
from ..language import Model, load, parse
from ..language.markdown import blocks
from ..language.source import LARGEST_FILE, Source
from . import verify
from .judge import USUAL
from .report import FAIL, INCONCLUSIVE, PASS, Report

UNUSABLE, EMPTY = "UNUSABLE", "EMPTY"
MARKDOWN = (".md", ".markdown")


@dataclass(frozen=True)
class Block:
    """One block of a file of notes: its heading, its first line, and its report or why there is none."""

    heading: str
    line: int
    report: Report | None = None
    message: str = ""
    verdict: str = field(default="")

    def __post_init__(self) -> None:
        if not self.verdict:
            object.__setattr__(self, "verdict", self.report.verdict if self.report else UNUSABLE)

    @property
    def title(self) -> str:
        """The heading, with the model's name where that says more."""
        name = self.report.model if self.report else ""
        if not self.heading or not name or name == self.heading:
            return self.heading or name or "without heading"
        return f"{self.heading} ({name})"

    def to_dict(self) -> dict[str, Any]:
        """The block as JSON-ready data: where it stands, and the report or an error."""
        where = {"heading": self.heading, "block_line": self.line}
        if self.report is None:
            return where | {"ok": self.verdict == EMPTY, "verdict": self.verdict, "error": self.message}
        return where | self.report.to_dict()


@dataclass(frozen=True)
class Notes:
    """The verdicts on every block of a Markdown file."""

    name: str
    blocks: list[Block]
    T: int
    seeds: int

    @property
    def verdict(self) -> str:
        """FAIL if anything is wrong; else UNUSABLE if a block cannot be read or nothing is stated; else INCONCLUSIVE
        if anything is; else PASS.
        """
        found = [block.verdict for block in self.blocks if block.verdict != EMPTY] or [UNUSABLE]
        return next(verdict for verdict in (FAIL, UNUSABLE, INCONCLUSIVE, PASS) if verdict in found)

    @property
    def ok(self) -> bool:
        """Whether every derivation in the file is right."""
        return self.verdict == PASS

    def to_dict(self) -> dict[str, Any]:
        """All blocks as JSON-ready data."""
        return {"ok": self.ok, "verdict": self.verdict, "blocks": [block.to_dict() for block in self.blocks]}

    def to_markdown(self) -> str:
        """One section a block, as Markdown."""
        from .markdown_report import notes_markdown

        return notes_markdown(self)

    def to_html(self) -> str:
        """One page with a section for each block."""
        from .html import notes_page

        return notes_page(self)

    def __str__(self) -> str:
        from .terminal import notes_text

        return notes_text(self)


def judge_file(path: str | Path, T: int | None = None, seeds: int = 3) -> Report | Notes:
    """Judge a file: a `Report` for an equation file, `Notes` for Markdown (`.md`).

    Raises `LanguageError` for an equation file that cannot be used, and for Markdown without a block marked `rnn`.

    >>> import tempfile
    >>> page = "# Echo\\n```rnn\\nsizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(h[T])\\ngradients:\\ndW = W\\n```\\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "notes.md")
    ...     _ = file.write_text(page)
    ...     notes = judge_file(file)
    >>> notes.ok, [(block.heading, block.line, block.verdict) for block in notes.blocks]
    (False, [('Echo', 3, 'FAIL')])
    """
    path = Path(path)
    if path.suffix.lower() not in MARKDOWN:
        return judge_model(load(path), T, seeds)
    source = _read(path)
    found = blocks(source)
    if not found:
        hint = "mark each block that holds equations as ```rnn"
        raise LanguageError("there is no block marked rnn in this file", source.name, hint=hint)
    return Notes(
        source.name,
        [_judged(block.source(source.name), block, T or USUAL, seeds) for block in found],
        T or USUAL,
        seeds,
    )


def judge_model(model: Model, T: int | None = None, seeds: int = 3) -> Report:
    """`verify`, with the model kept in the report for pages that typeset its equations and draw it."""
    return replace(verify(model, T=T, seeds=seeds), subject=model)


def _judged(source: Source, block: Any, T: int, seeds: int) -> Block:
    try:
        model = Model(parse(source))
        model.name = model.document.model or block.heading or model.name
        if not model.gradients:
            return Block(block.heading, block.first_line, None, "no gradients are stated here", EMPTY)
        return Block(block.heading, block.first_line, judge_model(model, T, seeds))
    except TinygradError as error:
        return Block(block.heading, block.first_line, None, str(error))


def _read(path: Path) -> Source:
    with path.open("rb") as file:
        return Source.from_bytes(file.read(LARGEST_FILE + 1), str(path))
