"""Judge a file: the one model of an equation file, or each block marked `rnn` of a Markdown file.

A block that cannot be read spoils nothing: the others are judged all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from ..core.errors import LanguageError, TinygradError
from ..language import Document, parse
from ..language.shipped import resolve
from ..language.syntax.markdown import Block, blocks
from ..language.syntax.source import LARGEST_FILE, Source
from .judge import judge
from .report import Notes, Report
from .results import EMPTY, BlockVerdict

MARKDOWN = (".md", ".markdown")
#: what standard input is called
STDIN = "<stdin>"


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
    marked = blocks(source)
    if Path(source.name).suffix.lower() not in MARKDOWN and not (source.name == STDIN and marked):
        return judge(parse(source), T, seeds, lengths=lengths)
    if not marked:
        hint = "mark each block that holds equations as ```rnn"
        raise LanguageError("there is no block marked rnn in this file", source.name, hint=hint)
    return Notes(source.name, judge_blocks(source, marked, T, seeds, lengths), seeds)


def judge_blocks(
    source: Source, marked: Sequence[Block], T: int | None, seeds: int, lengths: Mapping[str, int] | None
) -> list[BlockVerdict]:
    """The verdict on each block of a text, or why there is none."""
    return [_judged(block.source(source.name), block, T, seeds, lengths) for block in marked]


def _judged(source: Source, block: Block, T: int | None, seeds: int, lengths: Mapping[str, int] | None) -> BlockVerdict:
    try:
        document: Document = parse(source)
        if not document.gradients and not document.no_quantities:
            return BlockVerdict(block.heading, block.first_line, None, "no gradients are stated here", EMPTY)
        named = replace(document, model=document.model or block.heading)
        return BlockVerdict(block.heading, block.first_line, judge(named, T, seeds, lengths=lengths))
    except TinygradError as error:
        return BlockVerdict(block.heading, block.first_line, None, str(error))


def from_path(path: Path) -> Source:
    """The text of a file that a command names; raises `LanguageError` where it cannot be read."""
    return Source.from_path(resolve(path), "expected a path, a shipped model's name, or - for standard input")


def from_stream(stream: BinaryIO) -> Source:
    """The text of standard input."""
    return Source.from_bytes(stream.read(LARGEST_FILE + 1), STDIN)
