"""A formula as rows of statements: environments, row breaks, columns, and the words between two equations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..notation import Ellipsis, Extent, Letters, Link, Notation, Related, Statement, Words
from .environments import rows, without_layout
from .expression_parser import RELATIONS, Expressions, relation_at
from .latex_tokens import LatexToken, Unread, group

#: what stands between two statements, or in front of one, and says nothing itself
BETWEEN = {
    "\\qquad", "\\quad", "\\Rightarrow", "\\implies", "\\therefore", "\\because", "\\iff", "\\Leftrightarrow",
    "\\Longrightarrow", "\\land", "\\wedge", "\\\\", "\\;", "\\Longleftrightarrow", "\\leadsto", "\\Downarrow",
}  # fmt: skip
#: relations that say where a statement holds rather than what it says
_CONDITIONS = {
    "<", ">", "\\le", "\\leq", "\\ge", "\\geq", "\\in", "\\ne", "\\neq", "\\ll", "\\gg", "\\forall", "\\notin", ":",
}  # fmt: skip
_OPERATORS = {
    "+", "-", "*", "/", "\\cdot", "\\odot", "\\circ", "\\times", "\\otimes", "\\ast", "\\bullet", "\\pm",
}  # fmt: skip


def statements(source: Sequence[LatexToken], parser: Expressions) -> tuple[list[Statement], list[Unread]]:
    """The statements of a formula and the rows that could not be read.

    A row without a relation goes on with the one before it, in the same column, where an operator or an open
    bracket says so.
    """
    made: list[Statement] = []
    unread: list[Unread] = []
    for column, line in _lines(rows(_unbraced(without_layout(source)))):
        for part in _divided(line):
            try:
                _add(made, part, parser, column)
            except Unread as error:
                unread.append(error)
    return made, unread


def _unbraced(source: list[LatexToken]) -> list[LatexToken]:
    """The tokens without braces round a relation, which only set it: `{+}{=}`, `{a = b}`."""
    made: list[LatexToken] = []
    at = 0
    while at < len(source):
        if source[at].text == "{" and source[at].kind == "sign":
            inside, after = group(source, at)
            related = any(relation_at(inside, i) for i in _tops(inside))
            if [token.text for token in inside] in (["+"], ["="]) or (related and not _takes_argument(made)):
                made += _unbraced(inside)
                at = after
                continue
        if source[at].text == "{":
            _, after = group(source, at)
            made += source[at:after]
            at = after
            continue
        made.append(source[at])
        at += 1
    return made


def _takes_argument(before: Sequence[LatexToken]) -> bool:
    return bool(before) and (before[-1].text in ("_", "^", "}", "]") or before[-1].kind == "command")


def _lines(table: list[list[list[LatexToken]]]) -> list[tuple[int, list[LatexToken]]]:
    """Rows of columns as runs of tokens, each one equation or the part of one, with the column it stands in."""
    lines: list[tuple[int, list[LatexToken]]] = []
    opened: dict[int, int] = {}  # column -> the line that goes on there
    for row in table:
        for column, tokens_there in _equations(row):
            goes_on = opened.get(column)
            if goes_on is not None and tokens_there and _continues(lines[goes_on][1], tokens_there):
                lines[goes_on] = (column, [*lines[goes_on][1], *tokens_there])
            elif tokens_there:
                opened[column] = len(lines)
                lines.append((column, tokens_there))
    return lines


def _equations(row: list[list[LatexToken]]) -> list[tuple[int, list[LatexToken]]]:
    """The equations that stand side by side in a row, with the column each begins in."""
    made: list[tuple[int, list[LatexToken]]] = []
    for column, cell in enumerate(row):
        before = made[-1][1] if made else []
        related = any(relation_at(before, i) for i in _tops(before))
        starts = relation_at(cell, 0) if cell else None
        if not made or (
            related and not _dangling(before) and not (starts and not _has_side(row, column)) and _new(cell, column)
        ):
            made.append((column // 2, list(cell)))
        else:
            before += cell
    return [(column, tokens_there) for column, tokens_there in made if tokens_there]


def _has_side(row: list[list[LatexToken]], column: int) -> bool:
    """Whether the cell before is the (empty) left side of this one: `& &= b` begins another equation."""
    return column % 2 == 1 and not row[column - 1]


def _new(cell: list[LatexToken], column: int) -> bool:
    return column % 2 == 0 or not cell or relation_at(cell, 0) is not None


def _tops(source: Sequence[LatexToken]) -> list[int]:
    """The places that stand in no bracket, brace or environment."""
    depth, places = 0, []
    for i, token in enumerate(source):
        closes = (
            token.text in (")", "]", "}", "\\}", "\\rangle", "\\rbrack", "\\rbrace", "\\end") and token.kind != "text"
        )
        depth = max(0, depth - closes)
        if depth == 0:
            places.append(i)
        depth += (
            token.text in ("(", "[", "{", "\\{", "\\langle", "\\lbrack", "\\lbrace", "\\begin") and token.kind != "text"
        )
    return places


def _dangling(source: Sequence[LatexToken]) -> bool:
    """Whether something has to follow: an operator or a relation stands at the end, or a bracket is open."""
    if not source:
        return False
    last = source[-1]
    if last.text in _OPERATORS or relation_at(source, len(source) - 1):
        return True
    opens = sum(token.text in ("(", "[", "\\{") for token in source if token.kind != "text")
    return opens > sum(token.text in (")", "]", "\\}") for token in source if token.kind != "text")


def _continues(before: Sequence[LatexToken], row: Sequence[LatexToken]) -> bool:
    """Whether a row goes on with the one before it, rather than being a statement or the next link of the chain."""
    row = [token for token in row if token.text not in ("\\quad", "\\qquad", "\\;")]
    if not row or relation_at(row, 0):
        return False
    return _dangling(before) or row[0].text in _OPERATORS


def _divided(line: Sequence[LatexToken]) -> Iterable[list[LatexToken]]:
    """The statements of a line: what commas, wide spaces and words stand between, if both sides are statements."""
    parts: list[list[LatexToken]] = [[]]
    tops = set(_tops(line))
    for i, token in enumerate(line):
        divides = token.text in BETWEEN or token.text in (",", ";") or (token.kind == "text" and _is_words(token))
        if divides and i in tops and not _script(line, i):
            if token.kind == "text":
                parts += [[token], []]
            else:
                parts.append([])
        else:
            parts[-1].append(token)
    return [
        part for part in parts if part and not all(token.text in (".", ",", ";", "~", "\\ ", ":") for token in part)
    ]


def _is_words(token: LatexToken) -> bool:
    return (
        " " in token.text.strip()
        or token.text != token.text.strip()
        or not token.text.isascii()
        or token.text in ("and", "or", "where")
    )


def _script(line: Sequence[LatexToken], i: int) -> bool:
    return i > 0 and line[i - 1].text in ("_", "^")


def _add(made: list[Statement], part: list[LatexToken], parser: Expressions, column: int) -> None:
    """Parse one part of a line: a statement, or a remark on the one before."""
    while part and part[-1].text in (".", "\\ ", "~", ":") and part[-1].kind != "text":
        part = part[:-1]
    while part and part[0].text in ("\\ ", "~", "."):
        part = part[1:]
    if not part:
        return
    extent = Extent(part[0].start, part[-1].end)
    if part[0].kind == "text" and len(part) == 1 and _is_words(part[0]):
        _remark(made, Words(extent, part[0].text.strip()))
        return
    if part[0].text == "\\forall":
        _remark(made, parser.side(part[1:]) if part[1:] else Words(extent, "for all"))
        return
    sides, links = _sides(part, parser)
    if not links:
        (side,) = sides
        if side is not None and made and made[-1].links and isinstance(side, (Letters, Ellipsis)):
            _remark(made, side)
        else:
            made.append(Statement(sides, (), (), extent, column))
        return
    if made and made[-1].links and sides[0] is not None and _is_condition(sides, links):
        _remark(made, Related(extent, sides, tuple(link.sign for link in links)))
        return
    made.append(Statement(sides, links, (), extent, column))


def _is_condition(sides: Sequence[Notation | None], links: Sequence[Link]) -> bool:
    """`t < T`, `t = 1`, `i, j \\in ...`: says for which indices the statement before it holds."""
    index = isinstance(sides[0], Letters) and len(sides[0].name) == 1 and not sides[0].lower and not sides[0].upper
    signs = {link.sign for link in links}
    if signs <= _CONDITIONS:
        return True
    return index and isinstance(sides[0], Letters) and sides[0].name in "tsijklmnkuv" and signs <= {"=", *_CONDITIONS}


def _remark(made: list[Statement], remark: Notation) -> None:
    if made:
        last = made[-1]
        made[-1] = replace(last, remarks=(*last.remarks, remark))
    elif isinstance(remark, Words):
        made.append(Statement((None,), (), (remark,), remark.extent))


def _sides(part: Sequence[LatexToken], parser: Expressions) -> tuple[tuple[Notation | None, ...], tuple[Link, ...]]:
    sides: list[list[LatexToken]] = [[]]
    links: list[Link] = []
    tops = set(_tops(part))
    at = 0
    while at < len(part):
        found = relation_at(part, at) if at in tops and not _script(part, at) else None
        if found is None:
            sides[-1].append(part[at])
            at += 1
            continue
        sign, length = found
        links.append(Link(RELATIONS.get(sign, sign), Extent(part[at].start, part[at + length - 1].end)))
        sides.append([])
        at += length
    read = [parser.side(side) if side else None for side in sides]
    if links and read[-1] is None:
        read.pop()  # the right side is missing: the text goes on elsewhere
        links.pop()
    return tuple(read), tuple(links)
