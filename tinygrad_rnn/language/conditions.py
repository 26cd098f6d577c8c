"""Times and conditions on them: `t-1`, `T`, `t < T`, `1 < s <= T`, `t = 1..T-1`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from .expressions import Condition, Index
from .source import Source, Span
from .tokens import Token

LARGEST_DELAY = 10_000
INDEX_HINT = "an index is t, T or a whole number, or one of these plus or minus a whole number, as in h[t-1]"
_MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
_CONDITION_HINT = "expected a condition such as t < T, t > 1, 1 < t < T, t = T or t = 1..T-1"


def affine(source: Source, tokens: Sequence[Token], where: Span, hint: str = INDEX_HINT) -> Index:
    """Read `t`, `t-1`, `T`, `3`, …; raises `LanguageError` for anything else."""
    if not tokens:
        raise source.error("a time is missing here", where, hint=hint)
    variable, offset, sign, expects = None, 0, 1, True
    for token in tokens:
        if token.text in ("+", "-") and (not expects or token is tokens[0]):
            sign, expects = (1 if token.text == "+" else -1), True
        elif expects and token.kind == "number" and token.text.isdigit() and len(token.text) < 6:
            offset, expects = offset + sign * int(token.text), False
        elif expects and token.kind == "name" and variable is None and sign == 1:
            variable, expects = token.text, False
        else:
            raise source.error(f"{token.text!r} cannot stand in a time", token.span, hint=hint)
    if expects or abs(offset) > LARGEST_DELAY:
        raise source.error("this is not a time", tokens[-1].span, hint=hint)
    return Index(variable, offset)


def parse_condition(
    source: Source,
    tokens: Sequence[Token],
    where: Span,
    choose: Callable[[list[str]], str | None],
    known: Collection[str] = (),
) -> Condition:
    """Read a condition; `choose` picks the variable it is about from the names in it (without T).

    Its bounds may name T and the times in `known`.
    """
    named = [token for token in tokens if token.kind == "name" and token.text not in ("T", "and", "in")]
    variable = choose(list(dict.fromkeys(token.text for token in named)))
    if not tokens or variable is None:
        raise source.error(
            "the condition names no time variable", tokens[0].span if tokens else where, hint=_CONDITION_HINT
        )
    for token in named:
        if token.text != variable and token.text not in known:
            raise source.error(f"{token.text} is not a time here", token.span, hint=_CONDITION_HINT)
    if len(tokens) == 1:
        return Condition(variable)
    tests: list[tuple[str, Index]] = []
    for clause in _split(tokens, lambda token: token.text in ("and", ",")):
        tests += _clause(source, clause, where, variable)
    return Condition(variable, tuple(tests))


def _clause(source: Source, tokens: list[Token], where: Span, variable: str) -> list[tuple[str, Index]]:
    terms, relations = [[]], []  # type: ignore[var-annotated]
    for token in tokens:
        if token.text in _MIRROR or token.text == "in":
            if not (token.text == "=" and relations and relations[-1].text == "=" and not terms[-1]):
                relations.append(token)
                terms.append([])
        else:
            terms[-1].append(token)
    if not relations:
        raise source.error("this is not a condition", tokens[0].span if tokens else where, hint=_CONDITION_HINT)
    tests: list[tuple[str, Index]] = []
    for left, relation, right in zip(terms, relations, terms[1:], strict=False):
        sign = "=" if relation.text == "in" else relation.text
        dots = next((i for i, token in enumerate(right) if token.text == ".."), None)
        if sign == "=" and dots is not None:
            tests.append(_test(source, left, ">=", right[:dots], relation.span, variable))
            tests.append(_test(source, left, "<=", right[dots + 1 :], relation.span, variable))
        else:
            tests.append(_test(source, left, sign, right, relation.span, variable))
    return tests


def _test(
    source: Source, left: list[Token], relation: str, right: list[Token], where: Span, variable: str
) -> tuple[str, Index]:
    a, b = affine(source, left, where, _CONDITION_HINT), affine(source, right, where, _CONDITION_HINT)
    if b.variable == variable:
        a, b, relation = b, a, _MIRROR[relation]
    if a.variable != variable or b.variable == variable:
        raise source.error(f"this says nothing about {variable}", where, hint=_CONDITION_HINT)
    return relation, Index(b.variable, b.offset - a.offset)


def _split(tokens: Sequence[Token], separates: Callable[[Token], bool]) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if separates(token):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts
