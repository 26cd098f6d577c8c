"""Sets of index tuples against isl: emptiness, inclusion, complement, difference, projection, for every length."""

from __future__ import annotations

from random import Random
from typing import Any

from benchmarks.soak import judging
from benchmarks.soak.judging import Tally
from tinygrad_rnn.language.affine import Affine, affine
from tinygrad_rnn.language.syntax.indices import Constraint
from tinygrad_rnn.system import EVERYWHERE, Domain

#: seconds for all questions about two domains
SLOW = 5
INDICES = ("i", "j", "k")
LENGTHS = ("S", "T")
_SAID = {
    "=": "{0} = 0",
    ">=": "{0} >= 0",
    "!=": "({0} > 0 or {0} < 0)",
    "|": "({0}) mod {1} = 0",
    "!|": "not (({0}) mod {1} = 0)",
}


def compare(seed: str, tally: Tally) -> None:
    """Draw two domains and ask both sides the same questions."""
    try:
        with judging.ending(SLOW):
            _compare(seed, tally)
    except TimeoutError:
        tally.count("all questions", f"longer than {SLOW} s")


def _compare(seed: str, tally: Tally) -> None:
    import islpy as isl

    rng = Random(seed)
    domain, other = draw(rng), draw(rng)
    exact, exact_other = (isl.Set(said(these)) for these in (domain, other))

    def agree(question: str, ours: bool, theirs: bool) -> None:
        tally.count(question, "agree" if ours == theirs else "DISAGREE")
        if ours != theirs:
            tally.find(f"domains: {question}", seed, f"ours {ours}, isl {theirs}", f"{domain}\n{other}")

    agree("emptiness", domain.is_empty, exact.is_empty())
    agree("inclusion", domain.within(other), exact.is_subset(exact_other))
    agree("a common tuple", domain.meets(other), not exact.intersect(exact_other).is_empty())
    agree("the complement", _cover(EVERYWHERE.minus(domain), exact.complement().intersect(_lengths()), isl), True)
    agree("a difference", _cover(domain.minus(other), exact.subtract(exact_other), isl), True)
    agree("simplified", isl.Set(said(domain.simplified())).is_equal(exact), True)
    name = rng.choice(INDICES)
    shadow = exact.project_out(isl.dim_type.set, INDICES.index(name), 1).insert_dims(
        isl.dim_type.set, INDICES.index(name), 1
    )
    pieces = [isl.Set(said(piece)) for piece in domain.projected(name)]
    agree("a projection", _union(pieces, isl).is_equal(shadow.intersect(_lengths())), True)


def draw(rng: Random) -> Domain:
    """Some constraints over three indices and two lengths; often with the ranges that files have."""
    ranges: list[Constraint] = []
    for name in INDICES:
        if rng.random() < 0.5:
            length = rng.choice(LENGTHS)
            ranges += [Constraint(">=", affine(name) - 1), Constraint(">=", affine(length) - affine(name))]
    return Domain.of(*ranges, *(_constraint(rng) for _ in range(rng.randint(1, 4))))


def _constraint(rng: Random) -> Constraint:
    """Over few variables, as those of files are: their coefficients are mostly 1 and -1."""
    names = rng.sample((*INDICES, *LENGTHS), rng.choice((1, 2, 2, 2, 3)))
    coefficients = (1, -1, 1, -1, 2, -3) if rng.random() < 0.3 else (1, -1)
    terms = tuple((name, rng.choice(coefficients)) for name in sorted(names))
    kind = rng.choice((">=", ">=", ">=", "=", "!=", "|", "!|"))
    return Constraint(kind, Affine(terms, rng.randint(-13, 13)), rng.randint(2, 4) if kind in ("|", "!|") else 0)


def said(domain: Domain) -> str:
    """A domain as isl writes it; lengths are at least 1."""
    parts = [f"{name} >= 1" for name in LENGTHS]
    parts += [_SAID[constraint.kind].format(constraint.affine, constraint.modulus) for constraint in domain.constraints]
    return f"[{', '.join(LENGTHS)}] -> {{ [{', '.join(INDICES)}] : {' and '.join(parts)} }}"


def _lengths() -> Any:
    import islpy as isl

    return isl.Set(said(Domain.of()))


def _union(pieces: list[Any], isl: Any) -> Any:
    whole = isl.Set(f"[{', '.join(LENGTHS)}] -> {{ [{', '.join(INDICES)}] : 1 = 0 }}")
    for piece in pieces:
        whole = whole.union(piece)
    return whole


def _cover(pieces: tuple[Domain, ...], wanted: Any, isl: Any) -> bool:
    """Whether the pieces exclude each other and are together what is wanted."""
    exact = [isl.Set(said(piece)) for piece in pieces]
    apart = all(a.intersect(b).is_empty() for at, a in enumerate(exact) for b in exact[:at])
    return apart and _union(exact, isl).is_equal(wanted)
