"""What would make a wrong side right: one change of the author's own terms, told only after it was tried.

The changes are those by which notes go wrong: a step, a sign, a transpose, one name for another, a factor or a term
too many, a slope left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

from .meaning import (
    Accumulated,
    Derivative,
    Factors,
    FunctionOf,
    GradientName,
    Known,
    Meaning,
    Named,
    Power,
    Summands,
    Transposed,
    When,
    rebuilt,
    walk,
)

#: changes tried of one side, so that a long one costs no more than a second
MOST = 160
_NEXT = When((), 1)

Mend = tuple[str, Meaning]


def mended(right: Meaning, names: Iterable[Named], holds: Callable[[Meaning], bool]) -> Mend | None:
    """The first change under which a side `holds`, with what it is in words; None where none of them does.

    `names` are the quantities of the model: one may stand where another should.
    """
    for tried, (said, changed) in enumerate(changes(right, list(names))):
        if tried >= MOST:
            return None
        if holds(changed):
            return said, changed
    return None


def changes(right: Meaning, names: list[Named]) -> Iterator[Mend]:
    """Every change of one place, the likely ones first."""
    parts = list(walk(right))
    steps = {
        letter
        for part in parts
        if isinstance(part, (Named, GradientName)) and part.when
        for letter in part.when.letters
    }
    if not isinstance(right, Accumulated):
        for letter in sorted(steps):
            first, last = When((), 1), When((("T", 1),))
            yield f"the sum over {letter} in front of it", Accumulated("sum", letter, "time", first, last, right)
    for part in parts:
        for said, new in _of_time(part):
            yield said, _with(right, part, new)
    for part in parts:
        for said, new in _of_structure(part):
            yield said, _with(right, part, new)
    for part in parts:
        for said, new in _of_name(part, names):
            yield said, _with(right, part, new)
    for part in parts:
        for said, new in _of_slope(part, names):
            yield said, _with(right, part, new)


def _with(whole: Meaning, old: Meaning, new: Meaning) -> Meaning:
    return rebuilt(whole, lambda part: new if part is old else None)


def spelled_name(node: Named | GradientName) -> str:
    """`h_{t-1}` as a reader writes it."""
    return node.key if node.when is None else f"{node.key}_{{{node.when}}}"


def _of_time(part: Meaning) -> Iterator[Mend]:
    if isinstance(part, (Named, GradientName)) and part.when is not None and part.when.letters:
        for sign in (1, -1):
            moved = replace(part, when=part.when.plus(_NEXT, sign))
            yield f"{spelled_name(moved)} for {spelled_name(part)}", moved


def _of_structure(part: Meaning) -> Iterator[Mend]:
    if isinstance(part, Transposed):
        yield "without the transpose", part.base
    elif isinstance(part, Named) and part.when is None:
        yield f"{part.key}^T for {part.key}", Transposed(part)
    if (
        isinstance(part, Summands)
        and len(part.terms) == 2
        and part.signs == ("+", "-")
        and isinstance(part.terms[0], Known)
    ):
        one, rest = part.terms
        if isinstance(rest, Power):
            yield "the last power left out", replace(part, terms=(one, rest.base))
        else:
            yield "the square of the last term", replace(part, terms=(one, Power(rest, Known(Fraction(2)))))
    if isinstance(part, Summands):
        for i in range(len(part.terms)):
            other = "+" if part.signs[i] == "-" else "-"
            signs = (*part.signs[:i], other, *part.signs[i + 1 :])
            yield f"the other sign of term {i + 1}", replace(part, signs=signs)
            if len(part.terms) > 1:
                terms = (*part.terms[:i], *part.terms[i + 1 :])
                yield f"without term {i + 1}", Summands(terms, (*part.signs[:i], *part.signs[i + 1 :]))
    if isinstance(part, Factors) and len(part.factors) > 1:
        for i in range(len(part.factors)):
            factors = (*part.factors[:i], *part.factors[i + 1 :])
            kept = part.operators[1:] if i == 0 else (*part.operators[: i - 1], *part.operators[i:])
            yield f"without factor {i + 1}", factors[0] if len(factors) == 1 else Factors(factors, kept)


def _of_name(part: Meaning, names: list[Named]) -> Iterator[Mend]:
    if isinstance(part, Named) and not part.index:
        for other in names:
            if other.key != part.key and (other.when is None) == (part.when is None):
                new = replace(part, key=other.key)
                yield f"{spelled_name(new)} for {spelled_name(part)}", new
    if isinstance(part, Derivative) and isinstance(part.by, Named):
        for other in names:
            if other.key != part.by.key and (other.when is None) == (part.by.when is None):
                by = replace(part.by, key=other.key)
                yield f"the derivative by {spelled_name(by)}", replace(part, by=by)


def _of_slope(part: Meaning, names: list[Named]) -> Iterator[Mend]:
    """The slope of a state or gate beside a gradient that misses it."""
    if not isinstance(part, (Derivative, GradientName)):
        return
    when = part.when if isinstance(part, GradientName) else part.by.when if isinstance(part.by, Named) else None
    if when is None:
        return
    one, two = Known(Fraction(1)), Known(Fraction(2))
    for name in names:
        if name.when is None:
            continue
        value = Named(name.key, when)
        square = Summands((one, Power(value, two)), ("+", "-"))
        logistic = Factors((value, Summands((one, value), ("+", "-"))), ("\\odot",))
        shown = spelled_name(value)
        for said, slope in ((f"1 - {shown}^2", square), (f"{shown} (1 - {shown})", logistic)):
            yield f"times the slope {said}", Factors((part, slope), ("\\odot",))
        for slopes in (f for f in ("sigma", "phi", "f", "g", "tanh") if name.key != f):
            yield f"times the slope {slopes}'({shown})", Factors((part, FunctionOf(slopes, (value,), 1)), ("\\odot",))
