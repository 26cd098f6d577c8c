"""Sets of index tuples for every length: against isl, and against counting at small lengths."""

import random
from itertools import product

import pytest

from tests.sweep import sample
from tinygrad_rnn.language.affine import Affine, affine
from tinygrad_rnn.language.syntax.indices import Constraint
from tinygrad_rnn.system import Domain

NAMES = ("i", "j", "T")
SIZES = range(-3, 8)


def random_constraint(rng: random.Random) -> Constraint:
    terms = tuple((name, count) for name in sorted(NAMES) if (count := rng.choice((0, 0, 1, -1, 1, -1, 2, -3))))
    kind = rng.choice((">=", ">=", ">=", "=", "!=", "|", "!|"))
    return Constraint(kind, Affine(terms, rng.randint(-4, 4)), rng.randint(2, 4) if kind in ("|", "!|") else 0)


def random_domain(seed: int) -> Domain:
    rng = random.Random(seed)
    inside = [Constraint(">=", affine("i") - 1), Constraint(">=", affine("T") - affine("i"))] if seed % 2 else []
    return Domain.of(*inside, *(random_constraint(rng) for _ in range(rng.randint(1, 5))))


def text(domain: Domain) -> str:
    """The domain as isl writes it."""
    said = {
        "=": "{} = 0",
        ">=": "{} >= 0",
        "!=": "({0} > 0 or {0} < 0)",
        "|": "({}) mod {} = 0",
        "!|": "not (({}) mod {} = 0)",
    }
    parts = [said[c.kind].format(c.affine, c.modulus) for c in domain.constraints]
    return " and ".join(["T >= 1", *parts])


@pytest.mark.slow
@pytest.mark.parametrize("block", sample(range(10), 3, "isl"))
def test_emptiness_and_difference_agree_with_isl(block):
    isl = pytest.importorskip("islpy")
    for seed in range(block * 30, block * 30 + 30):
        domain, other = random_domain(seed), random_domain(seed + 10_000)
        exact = isl.Set(f"[T] -> {{ [i, j] : {text(domain)} }}")
        assert domain.is_empty == exact.is_empty(), str(domain)
        difference = exact.subtract(isl.Set(f"[T] -> {{ [i, j] : {text(other)} }}"))
        pieces = [isl.Set(f"[T] -> {{ [i, j] : {text(piece)} }}") for piece in domain.minus(other)]
        union = isl.Set("[T] -> { [i, j] : 1 = 0 }")
        for piece in pieces:
            assert union.intersect(piece).is_empty(), "pieces of a difference exclude each other"
            union = union.union(piece)
        assert union.is_equal(difference), f"{domain} minus {other}"
        assert domain.within(other) == exact.is_subset(isl.Set(f"[T] -> {{ [i, j] : {text(other)} }}"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_a_projection_is_what_is_left_when_a_variable_is_forgotten(seed):
    domain = random_domain(seed)
    shadow = domain.projected("j")
    for i, T in product(SIZES, range(1, 6)):
        # a solution in j, if there is any, lies within the period and the bounds that numbers below 30 can make
        real = any(domain.holds({"i": i, "j": j, "T": T}) for j in range(-90, 91))
        assert any(piece.holds({"i": i, "T": T}) for piece in shadow) == real, (str(domain), i, T)


def test_points_are_listed_in_order():
    t, T, k = affine("t"), affine("T"), affine("k")
    triangle = Domain.of(
        Constraint(">=", k - 1), Constraint(">=", t - k), Constraint(">=", T - t), Constraint("!=", t - 2)
    )
    assert list(triangle.points(["t", "k"], {"T": 3})) == [{"t": 1, "k": 1}, *({"t": 3, "k": k} for k in (1, 2, 3))]


def test_what_holds_from_some_length_on_only_is_not_empty():
    """13 <= t <= T is empty at T = 4, 5, 7 and 12, and so says nothing about T = 13."""
    late = Domain.of(Constraint(">=", affine("t") - 13), Constraint(">=", affine("T") - affine("t")))
    assert not late.is_empty
    assert not list(late.points(["t"], {"T": 12}))
    even = late.where(Constraint("|", affine("t"), 2), Constraint("|", affine("t") + 1, 2))
    assert even.is_empty


def test_simplified_keeps_only_what_says_something():
    t, T = affine("t"), affine("T")
    domain = Domain.of(Constraint(">=", t - 1), Constraint(">=", T - 1 - t), Constraint(">=", T - t + 3))
    known = Domain.of(Constraint(">=", t - 1), Constraint(">=", T - t))
    assert domain.simplified(known) == Domain.of(Constraint(">=", T - 1 - t))
