"""A page as prose, headings, code and mathematics, in the order of the text: Markdown, LaTeX, cells of a notebook."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .environments import ALIGNED

_FENCE = re.compile(r"[ \t]{0,12}(?P<marks>`{3,}|~{3,})[ \t]*(?P<info>[^`\n]*)$", re.MULTILINE)
_HEADING = re.compile(r"[ ]{0,3}(?P<level>#{1,6})[ \t]+(?P<text>[^\n]*?)[ \t]*#*[ \t]*$", re.MULTILINE)
_HTML_HEADING = re.compile(r"<h(?P<level>[1-6])\b[^>\n]*>(?P<text>[^\n]*?)</h[1-6]>", re.IGNORECASE)
#: a line of words alone between blank lines, underlined; a formula or a row of a table is none
_UNDERLINED = re.compile(
    r"(?:\A|(?<=\n\n))(?P<text>[^\n$\\|&=<>#-][^\n$\\|&=]*)\n(?P<level>={3,}|-{3,})[ \t]*$", re.MULTILINE
)
_SECTION = re.compile(
    r"\\(?P<kind>part|chapter|section|subsection|subsubsection|paragraph|frametitle)\*?\s*(?:\[[^\]\n]*\])?\{(?P<text>[^}\n]*)\}"
)
_LEVELS = {"part": 1, "chapter": 1, "section": 1, "subsection": 2, "frametitle": 2, "subsubsection": 3, "paragraph": 4}
_COMMENT = re.compile(r"<!--(?P<text>.*?)-->", re.DOTALL)
_TEX_COMMENT = re.compile(r"(?<!\\)%[^\n]*")
_VERBATIM = re.compile(r"\\begin\{(verbatim|lstlisting|minted|comment)\*?\}.*?(?:\\end\{\1\*?\}|\Z)", re.DOTALL)
_FRONT = re.compile(r"---[ \t]*\n(?P<text>.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_CODE = re.compile(r"(?P<marks>`+)(?!`)[^\n]*?(?<!`)(?P=marks)(?!`)")
_OPENS = re.compile(
    r"(?P<environment>\\begin\{(?P<name>[A-Za-z]+\*?)\})|(?P<kramdown>\\\\\[|\\\\\()"
    r"|(?P<bracket>\\\[|\\\()|(?P<dollars>\$\$)|(?P<dollar>\$)"
)
_CLOSES = {"\\\\[": "\\\\]", "\\\\(": "\\\\)", "\\[": "\\]", "\\(": "\\)"}
#: a formula within a line goes on no further than this
LONGEST_INLINE = 2000


@dataclass(frozen=True)
class PageStretch:
    """A part of a page: its content is `inner` to `after`.

    `kind` is title, fence, comment, front, preamble, inline or display.
    """

    kind: str
    start: int
    end: int
    inner: int
    after: int
    level: int = 0
    word: str = ""


def stretches(text: str, kind: str) -> list[PageStretch]:
    """The parts of a page that are not plain prose, in order.

    >>> [(s.kind, "# A\\nLet $h$ be".__getitem__(slice(s.inner, s.after))) for s in stretches("# A\\nLet $h$ be", "md")]
    [('title', 'A'), ('inline', 'h')]
    """
    fixed = sorted(_of_latex(text) if kind == "tex" else _of_markdown(text), key=lambda part: part.start)
    made: list[PageStretch] = []
    at = 0
    for part in fixed:
        if part.start < at:
            continue
        made += _mathematics(text, at, part.start, kind)
        made.append(part)
        at = part.end
    made += _mathematics(text, at, len(text), kind)
    return _in_order(made)


def _in_order(made: list[PageStretch]) -> list[PageStretch]:
    kept: list[PageStretch] = []
    for part in made:
        if not kept or part.start >= kept[-1].end:
            kept.append(part)
    return kept


def _of_markdown(text: str) -> Iterator[PageStretch]:
    front = _FRONT.match(text)
    if front:
        yield PageStretch("front", 0, front.end(), front.start("text"), front.end("text"))
    fences = list(_fences(text, front.end() if front else 0))
    yield from fences
    inside = [(part.start, part.end) for part in fences]
    for comment in _COMMENT.finditer(text):
        if not _within(inside, comment.start()):
            yield PageStretch("comment", comment.start(), comment.end(), comment.start("text"), comment.end("text"))
    inside += [(0, front.end())] if front else []
    for pattern in (_HEADING, _HTML_HEADING, _UNDERLINED):
        for title in pattern.finditer(text):
            if not _within(inside, title.start()) and (pattern is not _HEADING or _begins_line(text, title.start())):
                sign = title["level"]
                level = int(sign) if sign.isdigit() else len(sign) if sign[0] == "#" else 1 + (sign[0] == "-")
                yield PageStretch("title", title.start(), title.end(), title.start("text"), title.end("text"), level)


def _begins_line(text: str, at: int) -> bool:
    return at == 0 or text[at - 1] == "\n"


def _within(extents: list[tuple[int, int]], at: int) -> bool:
    return any(start <= at < end for start, end in extents)


def _fences(text: str, start: int) -> Iterator[PageStretch]:
    at = start
    while opening := _FENCE.search(text, at):
        if not _begins_line(text, opening.start()):
            at = opening.end()
            continue
        word = opening["info"].split()[:1]
        inner = min(opening.end() + 1, len(text))
        marks = opening["marks"]
        closing = re.compile(rf"^[ \t]*{re.escape(marks[0])}{{{len(marks)},}}[ \t]*$", re.MULTILINE).search(text, inner)
        after, end = (closing.start(), closing.end()) if closing else (len(text), len(text))
        is_math = word == ["math"]
        yield PageStretch(
            "display" if is_math else "fence", opening.start(), end, inner, after, word="" if is_math else "".join(word)
        )
        at = max(end, opening.end() + 1)


def _of_latex(text: str) -> Iterator[PageStretch]:
    verbatim = [(found.start(), found.end()) for found in _VERBATIM.finditer(text)]
    for start, end in verbatim:
        yield PageStretch("fence", start, end, start, end)
    begins = re.search(r"\\begin\{document\}", text)
    if begins:
        yield PageStretch("preamble", 0, begins.end(), 0, begins.end())
    body = begins.end() if begins else 0
    for comment in _TEX_COMMENT.finditer(text):
        if not _within(verbatim, comment.start()) and (comment.start() >= body or "rnn:" in comment[0]):
            yield PageStretch("comment", comment.start(), comment.end(), comment.start() + 1, comment.end())
    for title in _SECTION.finditer(text, body):
        if not _within(verbatim, title.start()):
            level = _LEVELS[title["kind"]]
            yield PageStretch("title", title.start(), title.end(), title.start("text"), title.end("text"), level)


def _mathematics(text: str, start: int, end: int, kind: str) -> Iterator[PageStretch]:
    """The formulas of a stretch of prose; a comment within a formula of LaTeX is left to its tokens."""
    at = start
    code = _CODE.search(text, at, end) if kind != "tex" else None
    while opening := _OPENS.search(text, at, end):
        if code and code.start() < at:  # only then: a page without code would be searched to its end at each formula
            code = _CODE.search(text, at, end)
        if code and code.start() < opening.start() < code.end():
            at = code.end()
            continue
        if opening.start() and text[opening.start() - 1] == "\\" and not opening["kramdown"]:
            at = opening.end()
            continue
        found = _formula(text, opening, end if kind != "tex" else len(text))
        if found is None:
            at = opening.end()
            continue
        yield found
        at = found.end
        if at >= end:
            return


def _formula(text: str, opening: re.Match[str], end: int) -> PageStretch | None:
    """The formula that a delimiter opens; None where it opens none, as a price does."""
    inner = opening.end()
    if opening["environment"]:
        name = opening["name"]
        if name.rstrip("*") not in ALIGNED and name.rstrip("*") != "array":
            return None
        closes = _end_of(text, name, inner, end)
        return None if closes is None else PageStretch("display", opening.start(), closes, opening.start(), closes)
    if opening["kramdown"] or opening["bracket"]:
        closing = _CLOSES[opening[0]]
        found = text.find(closing, inner, end)
        if found < 0:
            return None
        form = "inline" if closing.endswith(")") else "display"
        return PageStretch(form, opening.start(), found + len(closing), inner, found)
    after: int | None
    if opening["dollars"]:
        after = _unescaped(text, "$$", inner, end)
        if after is None or not text[inner:after].strip():
            return None
        return PageStretch("display", opening.start(), after + 2, inner, after)
    after = _unescaped(text, "$", inner, min(end, inner + LONGEST_INLINE))
    if after is None or "\n\n" in text[inner:after] or not _is_mathematics(text, inner, after):
        return None
    return PageStretch("inline", opening.start(), after + 1, inner, after)


def _is_mathematics(text: str, inner: int, after: int) -> bool:
    """`$5 and $6` is money: a formula is not empty, and no number follows its closing sign."""
    content = text[inner:after]
    money = content[:1].isdigit() and (content[-1:].isspace() or text[after + 1 : after + 2].isdigit())
    return bool(content.strip()) and not money


def _unescaped(text: str, sign: str, start: int, end: int) -> int | None:
    at = text.find(sign, start, end)
    while at > 0 and text[at - 1] == "\\" and text[at - 2] != "\\":
        at = text.find(sign, at + 1, end)
    return at if at >= 0 else None


def _end_of(text: str, name: str, start: int, end: int) -> int | None:
    depth = 1
    for found in re.compile(rf"\\(begin|end)\{{{re.escape(name)}\}}").finditer(text, start, end):
        depth += 1 if found[1] == "begin" else -1
        if depth == 0:
            return found.end()
    return None
