"""Lines to a document: headers, equations, and which section each stands in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from ...core.errors import LanguageError
from ..expressions import Bounds, Document, Equation, Expr, Label, NoQuantity, Ref, Size
from ..functions import FUNCTIONS, REDUCTIONS
from ..types.conventions import VECTORS
from .conditions import clauses, lengths_of, parse_condition, read_affines
from .desugar import desugared
from .formula import parse_formula
from .headers import read_bounds, read_indices, read_labels, read_names, read_sizes
from .indices import MAIN, Condition, Range
from .source import Source, Span, listed
from .tokens import Token, TokenLine, lines

MOST_EQUATIONS = 1000
MOST_TOKENS = 50_000
_HEADERS = (
    "model",
    "source",
    "sizes",
    "indices",
    "inputs",
    "fixed",
    "bounds",
    "labels",
    "vectors",
    "batch",
    "given",
    "gradients",
)
_TARGET = "expected a name on the left, as in h[t] = …, h[0] = … or L = …"


def parse(source: Source | str) -> Document:
    """Read one model. Raises `LanguageError` at the first thing that cannot be read; but a left side under `gradients:`
    that is no quantity is kept, with its error, in `no_quantities`.

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
        self.declared: dict[str, Range] = {}
        self.inputs: dict[str, Span] = {}
        self.fixed: dict[str, Span] = {}
        self.bounds: dict[str, Bounds] = {}
        self.labels: dict[str, Label] = {}
        self.given: dict[str, Span] = {}
        self.sections: dict[str, list[Equation]] = {"forward": [], "gradients": []}
        self.no_quantities: list[NoQuantity] = []
        self.section = "forward"
        for line in desugared(source, _not_too_many(source, lines(source))):
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
            self.ranges,
            tuple(self.inputs),
            tuple(self.fixed),
            self.bounds,
            {**self.inputs, **self.fixed},
            self.labels,
            self.headers.get("vectors", ""),
            self.headers.get("batch", ""),
            given=self.given,
            no_quantities=tuple(self.no_quantities),
        )

    @property
    def ranges(self) -> Mapping[str, Range]:
        """The indices declared, or t = 1..T."""
        return self.declared or MAIN

    def _read(self, line: TokenLine) -> None:
        if not line.key:
            self._read_equation(line)
        elif line.key == "sizes":
            read_sizes(self.source, line, self.sizes)
        elif line.key == "indices":
            if self.sections["forward"]:
                raise self.source.error("indices: stands above the equations", line.span, hint="move this line up")
            read_indices(self.source, line, self.declared)
        elif line.key in ("inputs", "fixed"):
            read_names(self.source, line, self.inputs if line.key == "inputs" else self.fixed)
        elif line.key == "bounds":
            read_bounds(self.source, line, self.bounds)
        elif line.key == "labels":
            read_labels(self.source, line, self.labels)
        elif line.key == "given":
            read_names(self.source, line, self.given)
        elif line.key == "gradients":
            if line.value:
                raise self.source.error(
                    "gradients: stands on a line of its own", line.span, hint="the equations follow on the next lines"
                )
            self.section = "gradients"
        elif line.key == "vectors" and line.value not in VECTORS:
            hint = "expected   vectors: columns   or   vectors: rows"
            raise self.source.error(f"vectors are columns or rows, not {line.value[:40]}", line.span, hint=hint)
        elif line.key == "batch" and (line.value != "columns" or self.headers.get("vectors") == "rows"):
            hint = "expected   batch: columns   in a file whose vectors are columns"
            raise self.source.error("a batch has a column for each sample", line.span, hint=hint)
        elif line.key in _HEADERS:
            self.headers[line.key] = line.value
        else:
            close = get_close_matches(line.key[:40], _HEADERS, 1)
            known = ", ".join(f"{name}:" for name in _HEADERS)
            hint = f"did you mean {close[0]}: ?" if close else f"known headers: {known}"
            raise self.source.error(f"unknown header {line.key[:40]}:", line.span, hint=hint)

    # -- equations ----------------------------------------------------------------------------------------------------
    def _read_equation(self, line: TokenLine) -> None:
        equals = _at_top(line.tokens, ("=",))
        if equals is None:
            arrow = next((token for token in line.tokens if token.text in ("<", "-")), None)
            hint = "expected name = formula, or a header such as sizes:"
            if arrow is not None and self.source.text[arrow.span.start : arrow.span.start + 2] in ("<-", "->"):
                hint = f"write {self.source.quote(line.tokens[0].span.to(arrow.span))[:-1].strip()} = …"
            raise self.source.error("this is not an equation", line.span, hint=hint)
        left = line.tokens[:equals]
        try:
            target = self._target(left, line.span)
        except LanguageError as error:
            if self.section != "gradients":
                raise
            name = self.source.quote(left[0].span.to(left[-1].span) if left else line.span)
            self.no_quantities.append(NoQuantity(name, line.span.line, self.source.quote(line.span), error))
        else:
            self.sections[self.section].append(self._equation(line, target, equals))

    def _equation(self, line: TokenLine, target: Ref, equals: int) -> Equation:
        tokens = line.tokens
        bound = list(dict.fromkeys(str(index.variable) for index in target.indices if not index.fixed))
        body, condition = _cut_condition(tokens[equals + 1 :])
        when = self._conditions(condition, target, bound) if condition else ()
        facts = [fact for limit in when for fact in limit.constraints]
        rhs: Expr = parse_formula(self.source, body, tokens[equals].span, bound, self.ranges, facts)
        return Equation(target, when, rhs, line.span, self.source.quote(line.span), self.ranges)

    def _target(self, tokens: Sequence[Token], where: Span) -> Ref:
        if not tokens or tokens[0].kind != "name":
            raise self.source.error(
                "an equation starts with what it defines", tokens[0].span if tokens else where, hint=_TARGET
            )
        name, span = tokens[0].text, tokens[0].span.to(tokens[-1].span)
        if name in self.ranges or name in lengths_of(self.ranges):
            what = "a time" if name in ("t", "T") else "an index" if name in self.ranges else "a length"
            raise self.source.error(f"{name} is {what}, not a quantity", span, hint="choose another name")
        if name in FUNCTIONS or name in REDUCTIONS:
            raise self.source.error(f"{name} is a function, not a quantity", span, hint="choose another name")
        if len(tokens) == 1:
            return Ref(span, name)
        if tokens[1].text != "[" or tokens[-1].text != "]" or len(tokens) < 4:
            hint, place = _TARGET, tokens[1].span
            if tokens[-1].text in ("+", "-", "*", "/"):
                place = tokens[-1].span
                left = self.source.quote(tokens[0].span.to(tokens[-2].span))
                hint = f"write all of it on the right: {left} = … {tokens[-1].text} …"
            raise self.source.error("this cannot stand on the left", place, hint=hint)
        index, *more = read_affines(self.source, tokens[2:-1], span)
        target = Ref(span, name, index, tuple(more))
        self._check_target(target)
        return target

    def _check_target(self, target: Ref) -> None:
        lengths = lengths_of(self.ranges)
        for index in target.indices:
            name = index.variable
            declared = name in (lengths if index.fixed else self.ranges)
            if name and not declared and (index.fixed or self.declared or target.more):
                what = "a length" if index.fixed else "an index"
                hint = (
                    f"known here: {listed((*self.ranges, *lengths), 'and')}; more are declared by   indices: s = 1..S"
                )
                raise self.source.error(f"{name} is not {what}", target.span, hint=hint)
        several = next((index for index in target.indices if len(index.running) > 1), None)
        if several is not None:
            raise self.source.error(
                f"{several} runs over {listed(several.running, 'and')} at once",
                target.span,
                hint="what an equation defines has one letter at each place, as in D[t, s] or D[t, t]",
            )

    def _conditions(self, tokens: Sequence[Token], target: Ref, bound: list[str]) -> tuple[Condition, ...]:
        """One condition for each index that is limited, in the order of the target's indices."""
        word = tokens[0].span
        if not bound:
            said = self.source.quote(tokens[0].span.to(tokens[-1].span))
            hint = f"write {target.name}[t] = … {said} for a quantity of each step"
            if target.index is not None:
                hint = f"{target} is one step already; write {target.name}[t] = … {said} for several"
            raise self.source.error(f"{target} has no time that a condition could limit", word, hint=hint)
        if len(bound) == 1:
            parts = {bound[0]: list(tokens[1:])}
        else:
            parts = {}
            for clause in clauses(tokens[1:]):
                about = [name for name in bound if any(token.text == name for token in clause)]
                name = about[-1] if about else bound[0]  # j < i limits j, the later one
                parts[name] = [*parts[name], Token("name", "and", word), *clause] if name in parts else clause
        return tuple(
            parse_condition(
                self.source,
                parts[name],
                word,
                lambda names, name=name: name if name in names else None,  # type: ignore[misc]
                self.ranges,
                bound[: bound.index(name)],
            )
            for name in bound
            if name in parts
        )


def _not_too_many(source: Source, lines: Iterable[TokenLine]) -> Iterator[TokenLine]:
    tokens = equations = 0
    for line in lines:
        tokens += len(line.tokens)
        equations = 0 if line.key == "gradients" else equations + (not line.key)
        if tokens > MOST_TOKENS or equations > MOST_EQUATIONS:
            raise source.error("this file is too long", line.span, hint="a model is a page of equations")
        yield line


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
