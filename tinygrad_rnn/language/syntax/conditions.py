"""Read steps and conditions on them: `t-1`, `2*n+1`, `t < T`, `1 < s <= T`, `t = 1..T-1`, `t % 2 = 0`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from ..affine import Affine, affine
from .indices import MIRRORED, Comparison, Condition, Constraint, Range
from .source import Source, Span
from .tokens import Token

LARGEST_DELAY = 10_000
INDEX_HINT = "an index is t, T or a whole number, or a sum of these, as in h[t-1] or h[T+1-t]"
LARGEST_SCALE = 100
_CONDITION_HINT = "expected a condition such as t < T, t > 1, 1 < t < T, t = T, t = 1..T-1 or t % 2 = 0"

#: words of Python, and the last step of some books: what is written for them
_MEANT = {
    "range": "range ends one before its end; write {0} = 1..T-1",
    "reversed": "equations hold in any order; write {0} = 1..T-1",
    "else": "write two equations, one for {0} > 1 and one for {0} = 1, each with its condition",
    "τ": "the last step is T; write {0} < T",
    "tau": "the last step is T; write {0} < T",
}


def read_affine(source: Source, tokens: Sequence[Token], where: Span, hint: str = INDEX_HINT) -> Affine:
    """Read `t`, `t-1`, `T`, `3`, `2*n+1`, `T+1-t`, …; raises `LanguageError` for anything else."""
    if not tokens:
        raise source.error("a time is missing here", where, hint=hint)
    total, sign, factor, expects = Affine(), 1, None, True
    for at, token in enumerate(tokens):
        times = at + 1 < len(tokens) and tokens[at + 1].text == "*"
        if token.text in ("+", "-") and factor is None and (not expects or at == 0):
            sign, expects = (1 if token.text == "+" else -1), True
        elif token.text == "*" and factor is not None and not expects:
            expects = True
        elif expects and token.kind == "number" and token.text.isdigit() and len(token.text) < 6 and factor is None:
            if times and not 0 < int(token.text) <= LARGEST_SCALE:
                raise source.error(f"{token.text!r} cannot stand in a time", token.span, hint=hint)
            factor = sign * int(token.text) if times else None
            total = total if times else total + sign * int(token.text)
            expects = False
        elif expects and token.kind == "name":
            total = total + affine(token.text, 0, sign if factor is None else factor)
            factor, expects = None, False
        else:
            raise source.error(f"{token.text!r} cannot stand in a time", token.span, hint=hint)
    if expects or abs(total.constant) > LARGEST_DELAY:
        raise source.error("this is not a time", tokens[-1].span, hint=hint)
    return total


def read_affines(source: Source, tokens: Sequence[Token], where: Span) -> tuple[Affine, ...]:
    """Read the indices between two brackets: `t-1`, or `i, j-1`."""
    return tuple(read_affine(source, part, where) for part in _split(tokens, lambda token: token.text == ","))


def parse_condition(
    source: Source,
    tokens: Sequence[Token],
    where: Span,
    choose: Callable[[list[str]], str | None],
    ranges: Mapping[str, Range],
    known: Collection[str] = (),
    facts: Sequence[Constraint] = (),
) -> Condition:
    """Read a condition; `choose` picks the variable it is about from the names in it (without T).

    Its bounds may name lengths and the times in `known`; a variable that is no declared index runs over what its bounds
    run over. `facts` is what is known of these times: it tells whether `j = t..k+1` runs up or down.
    """
    lengths = lengths_of(ranges)
    named = [token for token in tokens if token.kind == "name" and token.text not in (*lengths, "and", "in")]
    variable = choose(list(dict.fromkeys(token.text for token in named)))
    if not tokens or variable is None:
        raise source.error(
            "the condition names no time variable", tokens[0].span if tokens else where, hint=_CONDITION_HINT
        )
    for token in named:
        if token.text != variable and token.text not in known:
            hint = _MEANT.get(token.text, _CONDITION_HINT).format(variable)
            raise source.error(f"{token.text} is not a time here", token.span, hint=hint)
    tests: list[Comparison] = []
    for clause in clauses(tokens) if len(tokens) > 1 else []:
        tests += _clause(source, clause, where, variable)
    within = range_of(variable, tests, ranges)
    if within is None:
        raise source.error(
            f"{variable} is not an index", named[0].span, hint=f"declare it, as in   indices: {variable} = 1..T"
        )
    return _directed(source, Condition(variable, tuple(tests), within), named[0].span, ranges, facts)


def _directed(
    source: Source, condition: Condition, where: Span, ranges: Mapping[str, Range], facts: Sequence[Constraint]
) -> Condition:
    """A condition such as `j = T..k+1` turned round: it runs down, the larger bound comes first."""
    tests = condition.tests
    if [test.relation for test in tests[:2]] != [">=", "<="] or any(test.modulus for test in tests[:2]):
        return condition
    first, last = tests[0].bound, tests[1].bound
    if _least(last - first, ranges, facts) >= -1:
        return condition
    # nothing known: j = t..k+1 ends just behind k, as j = k+1..t begins there
    if _least(first - last, ranges, facts) >= -1 or last.constant > first.constant:
        turned = (Comparison("<=", first), Comparison(">=", last), *tests[2:])
        return Condition(condition.variable, turned, condition.within, descending=True)
    return condition


def _least(value: Affine, ranges: Mapping[str, Range], facts: Sequence[Constraint]) -> float:
    """A bound below what a value can be, by the ranges of its variables and at most one of the facts."""
    sides = [value, *(value - fact.affine for fact in facts if fact.kind == ">=")]
    return max(_least_by_ranges(side, ranges) for side in sides)


def _least_by_ranges(value: Affine, ranges: Mapping[str, Range]) -> float:
    for name in value.running:
        within = ranges.get(name) or next(iter(ranges.values()))
        value = value.substituted({name: within.first if value.coefficient(name) > 0 else within.last})
    if any(count < 0 for _, count in value.terms):
        return float("-inf")
    return value.constant + sum(count for _, count in value.terms)  # a length is 1 or more


def range_of(variable: str, tests: Sequence[Comparison], ranges: Mapping[str, Range]) -> Range | None:
    """What a variable runs over: as declared, or as what it is compared with, or as the only index there is."""
    if variable in ranges:
        return ranges[variable]
    for test in tests:
        bound = test.bound
        if bound.variable is not None and bound.variable in ranges:
            return ranges[bound.variable]
        for within in ranges.values():
            if bound.variable is not None and bound.variable == within.last.variable:
                return within
    return next(iter(ranges.values())) if len(ranges) == 1 else None


def clauses(tokens: Sequence[Token]) -> list[list[Token]]:
    """The parts of a condition, between `and` or commas."""
    return _split(tokens, lambda token: token.text in ("and", ","))


def lengths_of(ranges: Mapping[str, Range]) -> tuple[str, ...]:
    """The lengths that ranges name, each once: T of t = 1..T."""
    named = [name for within in ranges.values() for bound in (within.first, within.last) for name in bound.lengths]
    return tuple(dict.fromkeys(named))


def _clause(source: Source, tokens: list[Token], where: Span, variable: str) -> list[Comparison]:
    terms, relations = [[]], []  # type: ignore[var-annotated]
    for token in tokens:
        if token.text in MIRRORED or token.text == "in":
            if not (token.text == "=" and relations and relations[-1].text == "=" and not terms[-1]):
                relations.append(token)
                terms.append([])
        else:
            terms[-1].append(token)
    if not relations:
        raise source.error("this is not a condition", tokens[0].span if tokens else where, hint=_CONDITION_HINT)
    tests: list[Comparison] = []
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
) -> Comparison:
    if any(token.text == "%" for token in left):
        return _remainder(source, left, relation, right, where, variable)
    a, b = read_affine(source, left, where, _CONDITION_HINT), read_affine(source, right, where, _CONDITION_HINT)
    if b.coefficient(variable) > a.coefficient(variable):
        a, b, relation = b, a, MIRRORED[relation]
    times = a.coefficient(variable) - b.coefficient(variable)
    if times > 1:
        raise source.error(
            f"a condition on {times}*{variable} is not supported",
            where,
            hint=f"compare {variable} itself: {variable} < T",
        )
    if times != 1:
        raise source.error(f"this says nothing about {variable}", where, hint=_CONDITION_HINT)
    return Comparison(relation, b.without(variable) - a.without(variable))


def _remainder(
    source: Source, left: list[Token], relation: str, right: list[Token], where: Span, variable: str
) -> Comparison:
    """`t % 2 = 0`: every second step."""
    texts = [token.text for token in left]
    rest = read_affine(source, right, where, _CONDITION_HINT)
    modulus = int(texts[2]) if len(texts) == 3 and texts[2].isdigit() and len(texts[2]) < 6 else 0
    if texts[:2] != [variable, "%"] or modulus < 2 or relation not in ("=", "!=") or rest.variable is not None:
        raise source.error("this remainder cannot be read", where, hint=f"expected {variable} % 2 = 0 or the like")
    if not 0 <= rest.constant < modulus:
        raise source.error(
            f"{variable} % {modulus} is never {rest}", where, hint=f"a remainder is one of 0 to {modulus - 1}"
        )
    return Comparison(relation, rest, modulus)


def _split(tokens: Sequence[Token], separates: Callable[[Token], bool]) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if separates(token):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts
