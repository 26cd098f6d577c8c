"""Equation blocks inside Markdown: fenced code marked `rnn`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .source import Source

_FENCE = re.compile(r" {0,3}(?P<marks>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)$")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(?P<text>.*?)[ \t]*#*$")


@dataclass(frozen=True)
class Block:
    """One fenced block: its text, the number of its first line in the file, the heading it stands under, and whether it
    is marked wrong (```rnn wrong), as an example of a mistake is.
    """

    text: str
    first_line: int
    heading: str
    wrong: bool = False

    def source(self, name: str) -> Source:
        """The block as a text of its own, with the line numbers of the file."""
        return Source(self.text, name, self.first_line)


def blocks(source: Source) -> list[Block]:
    """The blocks marked `rnn`, in order; a block that is not closed ends with the file.

    >>> [block.first_line for block in blocks(Source("# A net\\n```rnn\\nL = 1\\n```"))]
    [3]
    """
    found: list[Block] = []
    heading, marks, first = "", "", 0
    info: list[str] = []
    inside: list[str] = []
    for number, line in enumerate([*source.text.split("\n"), None], start=source.first_line):
        fence = _FENCE.match(line) if line is not None else None
        if marks:
            closes = fence is not None and fence["marks"].startswith(marks) and not fence["info"].strip()
            if line is None or closes:
                if info[:1] == ["rnn"]:
                    found.append(Block("\n".join(inside), first, heading, "wrong" in info))
                marks = ""
            else:
                inside.append(line)
        elif fence is not None:
            marks, inside, first = fence["marks"], [], number + 1
            info = fence["info"].split()
        elif line is not None and (title := _HEADING.match(line)):
            heading = title["text"]
    return found
