"""Judge a file: the one model of an equation file, or each block marked `rnn` of a Markdown file.

A block that cannot be read spoils nothing: the others are judged all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from ..core.errors import LanguageError, TinygradError
from ..language import Document, parse
from ..language.shipped import resolve
from ..language.syntax.markdown import blocks
from ..language.syntax.source import LARGEST_FILE, Source
from .judge import judge
from .report.contents import EXIT, ORDER, WRONG_VERDICTS, Report

UNUSABLE, EMPTY = "UNUSABLE", "EMPTY"
MARKDOWN = (".md", ".markdown")
#: what standard input is called
STDIN = "<stdin>"


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
    seeds: int

    @property
    def verdict(self) -> str:
        """The worst of the blocks: what is wrong, then UNUSABLE where a block cannot be read or nothing is stated, then
        what is undecided.
        """
        found = [block.verdict for block in self.blocks if block.verdict != EMPTY] or [UNUSABLE]
        order = (*WRONG_VERDICTS, UNUSABLE, *(verdict for verdict in ORDER if verdict not in WRONG_VERDICTS))
        return next(verdict for verdict in order if verdict in found)

    @property
    def ok(self) -> bool:
        """Whether every derivation in the file is right."""
        return EXIT.get(self.verdict) == 0

    def to_dict(self) -> dict[str, Any]:
        """All blocks as JSON-ready data."""
        return {"ok": self.ok, "verdict": self.verdict, "blocks": [block.to_dict() for block in self.blocks]}

    def to_markdown(self) -> str:
        """One section a block, as Markdown."""
        from .report.markdown_report import notes_markdown

        return notes_markdown(self)

    def to_html(self) -> str:
        """One page with a section for each block."""
        from .report.html import notes_page

        return notes_page(self)

    def __str__(self) -> str:
        from .report.terminal import notes_text

        return notes_text(self)


def judge_file(
    path: str | Path | Source, T: int | None = None, seeds: int = 3, lengths: Mapping[str, int] | None = None
) -> Report | Notes:
    """Judge a file, a shipped model by its name, or a `Source`: a `Report`, or `Notes` for Markdown (`.md`).

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
    source = path if isinstance(path, Source) else from_path(Path(path))
    found = blocks(source)
    if Path(source.name).suffix.lower() not in MARKDOWN and not (source.name == STDIN and found):
        return judge(parse(source), T, seeds, lengths=lengths)
    if not found:
        hint = "mark each block that holds equations as ```rnn"
        raise LanguageError("there is no block marked rnn in this file", source.name, hint=hint)
    return Notes(
        source.name,
        [_judged(block.source(source.name), block, T, seeds, lengths) for block in found],
        seeds,
    )


def _judged(source: Source, block: Any, T: int | None, seeds: int, lengths: Mapping[str, int] | None) -> Block:
    try:
        document: Document = parse(source)
        if not document.gradients and not document.no_quantities:
            return Block(block.heading, block.first_line, None, "no gradients are stated here", EMPTY)
        named = replace(document, model=document.model or block.heading)
        return Block(block.heading, block.first_line, judge(named, T, seeds, lengths=lengths))
    except TinygradError as error:
        return Block(block.heading, block.first_line, None, str(error))


def from_path(path: Path) -> Source:
    """The text of a file that a command names; raises `LanguageError` where it cannot be read."""
    return Source.from_path(resolve(path), "expected a path, a shipped model's name, or - for standard input")


def from_stream(stream: BinaryIO) -> Source:
    """The text of standard input."""
    return Source.from_bytes(stream.read(LARGEST_FILE + 1), STDIN)
