"""Lines to a document: headers, equations, and which section each stands in."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from .conditions import affine, parse_condition
from .expressions import Condition, Document, Equation, Expr, Index, Ref, Size
from .formula import parse_formula
from .functions import FUNCTIONS, REDUCTIONS
from .source import Source, Span
from .tokens import Line, Token, lines

MOST_EQUATIONS = 1000
MOST_TOKENS = 50_000
LARGEST_SIZE = 100_000
_HEADERS = ("model", "source", "sizes", "gradients")
_TARGET = "expected a name on the left, as in h[t] = …, h[0] = … or L = …"


def parse(source: Source | str) -> Document:
    """Read one model. Raises `LanguageError` at the first thing that cannot be read.

    >>> document = parse("model: decay\\nsizes: h = 2\\nh[t] = tanh(h[t-1])\\nL = sum(t, sum(h[t]))")
    >>> document.model, [equation.name for equation in document.forward]
    ('decay', ['h[t]', 'L'])
    """
    if isinstance(source, str):
        source = Source(source)
    return _Reader(source).document()


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.headers: dict[str, str] = {}
        self.sizes: dict[str, Size] = {}
        self.sections: dict[str, list[Equation]] = {"forward": [], "gradients": []}
        self.section = "forward"
        tokens = 0
        for line in lines(source):
            tokens += len(line.tokens)
            if tokens > MOST_TOKENS or len(self.sections[self.section]) >= MOST_EQUATIONS:
                raise source.error("this file is too long", line.span, hint="a model is a page of equations")
            self._read(line)
        if not self.sections["forward"]:
            where = source.span(0, 0)
            raise source.error(
                "there are no equations here", where, hint="expected lines such as h[t] = tanh(W @ h[t-1] + U @ x[t])"
            )

    def document(self) -> Document:
        return Document(
            self.headers.get("model", ""),
            self.headers.get("source", ""),
            self.sizes,
            tuple(self.sections["forward"]),
            tuple(self.sections["gradients"]),
            self.source,
        )

    def _read(self, line: Line) -> None:
        if not line.key:
            self.sections[self.section].append(self._equation(line))
        elif line.key == "sizes":
            self._sizes(line)
        elif line.key == "gradients":
            if line.value:
                raise self.source.error(
                    "gradients: stands on a line of its own", line.span, hint="the equations follow on the next lines"
                )
            self.section = "gradients"
        elif line.key in _HEADERS:
            self.headers[line.key] = line.value
        else:
            close = get_close_matches(line.key[:40], _HEADERS, 1)
            hint = f"did you mean {close[0]}: ?" if close else "known headers: model:, source:, sizes:, gradients:"
            raise self.source.error(f"unknown header {line.key[:40]}:", line.span, hint=hint)

    # -- sizes --------------------------------------------------------------------------------------------------------
    def _sizes(self, line: Line) -> None:
        entries: list[list[Token]] = [[]]
        for token in line.tokens:
            if token.text in (",", ";"):
                entries.append([])
            else:
                entries[-1].append(token)
        for entry in entries:
            if entry:
                self._size(entry)

    def _size(self, entry: list[Token]) -> None:
        span = entry[0].span.to(entry[-1].span)
        texts = [token.text for token in entry]
        if len(texts) == 4 and texts[3][:1] == "x" and entry[3].kind == "name":  # 4x4 is read as 4 and x4
            texts[3:] = ["x", texts[3][1:]]
        ok = entry[0].kind == "name" and texts[1:2] == ["="] and all(text.isdecimal() for text in texts[2::2])
        if not ok or len(texts) not in (3, 5) or texts[3:4] not in ([], ["x"], ["*"], ["×"]):
            raise self.source.error(
                "this is not a size",
                span,
                hint="expected a name and its rows, as in h = 4, or a matrix as in W = 4 x 3",
            )
        rows, *columns = (int(text[:7]) for text in texts[2::2])
        if not all(0 < size <= LARGEST_SIZE for size in (rows, *columns)):
            raise self.source.error(
                "this size cannot be used", span, hint=f"expected whole numbers from 1 to {LARGEST_SIZE:,}"
            )
        if texts[0] in self.sizes:
            raise self.source.error(f"the size of {texts[0]} is given twice", span, hint="keep one of them")
        self.sizes[texts[0]] = Size(rows, columns[0] if columns else None, span)

    # -- equations ----------------------------------------------------------------------------------------------------
    def _equation(self, line: Line) -> Equation:
        tokens = line.tokens
        equals = _at_top(tokens, ("=",))
        if equals is None:
            raise self.source.error(
                "this is not an equation", line.span, hint="expected name = formula, or a header such as sizes:"
            )
        target = self._target(tokens[:equals], line.span)
        index = target.index
        bound = [index.variable] if index and index.variable and index.variable != "T" else []
        body, condition = _cut_condition(tokens[equals + 1 :])
        when = self._condition(condition, target, bound) if condition else None
        rhs: Expr = parse_formula(self.source, body, tokens[equals].span, bound)
        return Equation(target, when, rhs, line.span, self.source.quote(line.span))

    def _target(self, tokens: Sequence[Token], where: Span) -> Ref:
        if not tokens or tokens[0].kind != "name":
            raise self.source.error(
                "an equation starts with what it defines", tokens[0].span if tokens else where, hint=_TARGET
            )
        name, span = tokens[0].text, tokens[0].span.to(tokens[-1].span)
        if name in ("t", "T"):
            raise self.source.error(f"{name} is a time, not a quantity", span, hint="choose another name")
        if name in FUNCTIONS or name in REDUCTIONS:
            raise self.source.error(f"{name} is a function, not a quantity", span, hint="choose another name")
        if len(tokens) == 1:
            return Ref(span, name)
        if tokens[1].text != "[" or tokens[-1].text != "]" or len(tokens) < 4:
            raise self.source.error("this cannot stand on the left", tokens[1].span, hint=_TARGET)
        index = affine(self.source, tokens[2:-1], span)
        return Ref(span, name, Index(index.variable, index.offset))

    def _condition(self, tokens: Sequence[Token], target: Ref, bound: list[str]) -> Condition:
        word = tokens[0].span
        if not bound:
            hint = "remove it" if target.index is None else f"{target} is one step already: remove it"
            raise self.source.error(f"{target} has no time that a condition could limit", word, hint=hint)
        return parse_condition(self.source, tokens[1:], word, lambda names: bound[0] if bound[0] in names else None)


def _at_top(tokens: Sequence[Token], texts: Sequence[str]) -> int | None:
    depth = 0
    for place, token in enumerate(tokens):
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if depth == 0 and token.text in texts:
            return place
    return None


def _cut_condition(tokens: Sequence[Token]) -> tuple[Sequence[Token], Sequence[Token]]:
    """Split a right-hand side from the `for …` or `if …` at its end, recognised because no operand may follow
    another."""
    depth = 0
    for place, token in enumerate(tokens):
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        before = tokens[place - 1] if place else None
        if depth == 0 and before is not None and token.text in ("for", "if", "where"):
            if before.text == ",":
                return tokens[: place - 1], tokens[place:]
            if before.kind != "operator" or before.text in (")", "]", ".T"):
                return tokens[:place], tokens[place:]
    return tokens, ()
