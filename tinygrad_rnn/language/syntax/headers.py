"""Read the lines above the equations: sizes, indices and what they run over, inputs, fixed quantities, bounds.

Whether the names exist, and what they mean, is for `quantities` to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..expressions import Bounds, Label, Size
from ..functions import FUNCTIONS, REDUCTIONS
from .conditions import read_affine
from .indices import Range
from .source import Source, Span
from .tokens import Token, TokenLine

LARGEST_SIZE = 100_000
_INDEX_HINT = "expected a small letter and what it runs over, as in   indices: s = 1..S, t = 1..T"
LABELS = ("one-hot", "simplex")
_LABEL_HINT = (
    "expected   labels: y one-hot   (a column with a single one) or   labels: y simplex   (positive, the sum is one)"
)
_BOUND_HINT = "expected a name between numbers, as in   bounds: tau >= 1, 0 < alpha < 1"


def entries(line: TokenLine) -> list[list[Token]]:
    """The entries of a header, between commas."""
    found: list[list[Token]] = [[]]
    for token in line.tokens:
        if token.text in (",", ";"):
            found.append([])
        else:
            found[-1].append(token)
    return [entry for entry in found if entry]


def read_sizes(source: Source, line: TokenLine, sizes: dict[str, Size]) -> None:
    """`h = 4`, `W = 4 x 3`."""
    for entry in entries(line):
        span = _span(entry)
        texts = [token.text for token in entry]
        if len(texts) == 4 and texts[3][:1] == "x" and entry[3].kind == "name":  # 4x4 is read as 4 and x4
            texts[3:] = ["x", texts[3][1:]]
        ok = entry[0].kind == "name" and texts[1:2] == ["="] and all(text.isdecimal() for text in texts[2::2])
        if not ok or len(texts) not in (3, 5) or texts[3:4] not in ([], ["x"], ["*"], ["×"]):
            raise source.error(
                "this is not a size",
                span,
                hint="expected a name and its rows, as in h = 4, or a matrix as in W = 4 x 3",
            )
        rows, *columns = (int(text[:7]) for text in texts[2::2])
        if not all(0 < size <= LARGEST_SIZE for size in (rows, *columns)):
            raise source.error(
                "this size cannot be used", span, hint=f"expected whole numbers from 1 to {LARGEST_SIZE:,}"
            )
        if texts[0] in sizes:
            raise source.error(f"the size of {texts[0]} is given twice", span, hint="keep one of them")
        sizes[texts[0]] = Size(rows, columns[0] if columns else None, span)


def read_indices(source: Source, line: TokenLine, ranges: dict[str, Range]) -> None:
    """`s = 1..S`, `n = 1..2*T-1`."""
    for entry in entries(line):
        span, name = _span(entry), entry[0].text
        dots = next((at for at, token in enumerate(entry) if token.text == ".."), None)
        if dots is None or [entry[0].kind, entry[1].text] != ["name", "="]:
            raise source.error("this says no index", span, hint=_INDEX_HINT)
        if name[0].isupper() or name in FUNCTIONS or name in REDUCTIONS:
            raise source.error(f"{name} cannot be an index", entry[0].span, hint=_INDEX_HINT)
        if name in ranges:
            raise source.error(f"{name} is declared twice", entry[0].span, hint="keep one of them")
        first, last = (read_affine(source, part, span, _INDEX_HINT) for part in (entry[2:dots], entry[dots + 1 :]))
        if not first.fixed or not last.fixed or last.variable is None:
            raise source.error(
                f"{name} ends nowhere that a length could say",
                span,
                hint=f"a length has a capital letter. {_INDEX_HINT}",
            )
        ranges[name] = Range(first, last)


def read_names(source: Source, line: TokenLine, names: dict[str, Span]) -> None:
    """`x, W, U`; for gradients that are given, `dh, do`."""
    for entry in entries(line):
        if len(entry) != 1 or entry[0].kind != "name":
            raise source.error(f"{line.key}: takes names", _span(entry), hint=f"expected   {line.key}: W, U")
        names[entry[0].text] = entry[0].span


def read_labels(source: Source, line: TokenLine, labels: dict[str, Label]) -> None:
    """`y one-hot`, `y[t] one-hot`, `p simplex`."""
    for entry in entries(line):
        closes = next((at for at, token in enumerate(entry) if token.text == "]"), 0)  # its index says nothing more
        kind = "".join(token.text for token in entry[closes + 1 :])
        if entry[0].kind != "name" or kind.replace("onehot", "one-hot") not in LABELS:
            raise source.error("this declares no label", _span(entry), hint=_LABEL_HINT)
        if entry[0].text in labels:
            raise source.error(f"{entry[0].text} is declared twice", _span(entry), hint="keep one of them")
        labels[entry[0].text] = Label(kind.replace("onehot", "one-hot"), _span(entry))


def read_bounds(source: Source, line: TokenLine, bounds: dict[str, Bounds]) -> None:
    """`tau >= 1`, `0 < alpha < 1`."""
    for entry in entries(line):
        span = _span(entry)
        parts: list[list[Token]] = [[]]
        relations: list[str] = []
        for token in entry:
            if token.text in ("<", "<=", ">", ">="):
                relations.append(token.text)
                parts.append([])
            else:
                parts[-1].append(token)
        named = [at for at, part in enumerate(parts) if len(part) == 1 and part[0].kind == "name"]
        if len(named) != 1 or not 2 <= len(parts) <= 3 or len({text[0] for text in relations}) != 1:
            raise source.error("these are no bounds", span, hint=_BOUND_HINT)
        (at,) = named
        below = [_number(source, part, span) for part in parts[:at]]
        above = [_number(source, part, span) for part in parts[at + 1 :]]
        opens = [len(text) == 1 for text in relations]
        open_low, open_high = opens[:at], opens[at:]
        if relations[0][0] == ">":
            below, above, open_low, open_high = above, below, open_high, open_low
        low, high = (side[0] if side else None for side in (below, above))
        if len(below) > 1 or len(above) > 1 or (low is not None and high is not None and low >= high):
            raise source.error("no value lies between these bounds", span, hint=_BOUND_HINT)
        bounds[parts[at][0].text] = Bounds(low, high, span, all(open_low), all(open_high))


def _number(source: Source, tokens: Sequence[Token], where: Span) -> float:
    sign = -1.0 if tokens and tokens[0].text == "-" else 1.0
    digits = tokens[1:] if tokens and tokens[0].text in ("-", "+") else tokens
    if len(digits) != 1 or digits[0].kind != "number":
        raise source.error("these are no bounds", where, hint=_BOUND_HINT)
    return sign * float(digits[0].text)


def _span(entry: Sequence[Token]) -> Span:
    return entry[0].span.to(entry[-1].span)
