"""The value of a formula: a tree of meaning, evaluated on arrays or on Tensors of a graph.

What a name, a derivative or a function is worth is asked of an `Environment`; here stands what sums, products,
powers and stacks do with the answers. Numbers have shape (), all else two axes. A derivative keeps between what and
what it is a linear map, so that the factors of a chain rule compose whichever way they are printed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from .meaning import (
    Accumulated,
    Blocks,
    Continued,
    Derivative,
    EntryOf,
    Factors,
    FunctionOf,
    GradientName,
    Incomprehensible,
    Known,
    Length,
    Meaning,
    Named,
    PartOf,
    Power,
    Quotient,
    StepNumber,
    Summands,
    Transposed,
    When,
    walk,
)

ENTRYWISE_SIGNS = frozenset({"\\odot", "\\circ", "odot", "circ"})
Point = tuple[str, int | None]


class ShapesClash(Exception):
    """An operation that these shapes do not allow."""


class OutOfRange(Exception):
    """A time outside of the sequence."""


@dataclass(frozen=True)
class LinearMap:
    """What a derivative is between: `of` a point of the model (None for the loss), `by` another; and its entries."""

    of: Point | str | None
    by: Point
    entries: Any
    of_shape: tuple[int, ...]
    by_shape: tuple[int, ...]


@dataclass(frozen=True)
class DerivativeLayout:
    """How derivatives are laid out as matrices.

    `transposed`: gradients have the transposed shape of what they belong to; `denominator`: a Jacobian has a row for
    each entry below.
    """

    transposed: bool = False
    denominator: bool = False


@dataclass(frozen=True)
class Amount:
    """A value, as an array or as a linear map that has not been laid out yet."""

    array: Any = None
    chain: LinearMap | None = None


class Environment(Protocol):
    """What a formula is evaluated in."""

    layout: DerivativeLayout
    signs: Mapping[str, str]
    votes: Counter[tuple[str, str]]

    def look(self, name: Named, step: int | None) -> Any: ...
    def derivative(self, node: Derivative, calculator: Calculator) -> Amount: ...
    def gradient(self, node: GradientName, calculator: Calculator) -> Amount: ...
    def call(self, node: FunctionOf, arguments: tuple[Any, ...]) -> Any: ...
    def length(self, letter: str, body: Meaning, above: str) -> int: ...
    def extent(self, name: Named) -> int: ...


def laid_out(chain: LinearMap, layout: DerivativeLayout) -> Any:
    """A linear map as an array. Raises `ShapesClash` where it has more than two axes."""
    entries = chain.entries
    if chain.of_shape == ():
        return entries.T if layout.transposed and chain.by_shape != () else entries
    if chain.by_shape == ():
        return entries
    if 1 in chain.of_shape and 1 in chain.by_shape:
        flat = entries.reshape(max(chain.of_shape), max(chain.by_shape))
        return flat.T if layout.denominator else flat
    raise ShapesClash("a derivative by a matrix that is no number has no layout as a matrix")


def composed(a: LinearMap, b: LinearMap) -> LinearMap | None:
    """One derivative after the other where they meet, in either order; None where they do not."""
    if a.by == b.of:
        pass
    elif b.by == a.of:
        a, b = b, a
    else:
        return None
    n = len(a.by_shape)
    entries = np.tensordot(a.entries, b.entries, axes=n) if n else np.multiply.outer(a.entries, b.entries)
    return LinearMap(a.of, b.by, entries, a.of_shape, b.by_shape)


@dataclass
class Calculator:
    """Evaluates trees in an environment, with steps and entries for the letters in them."""

    env: Environment
    steps: dict[str, int]
    entries: dict[str, int] = field(default_factory=dict)

    def array(self, node: Meaning) -> Any:
        """The value as an array."""
        return self.settled(self.amount(node))

    def settled(self, amount: Amount) -> Any:
        """An amount as an array, in the layout of the document."""
        value = amount.array if amount.chain is None else laid_out(amount.chain, self.env.layout)
        return _number(value)

    def amount(self, node: Meaning) -> Amount:
        """The value of a tree. Raises `Incomprehensible`, `ShapesClash` or `OutOfRange`."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise Incomprehensible(f"nothing is known of {type(node).__name__.lower()} here")
        result = method(node)
        return result if isinstance(result, Amount) else Amount(_number(result))

    def step(self, when: When | None) -> int | None:
        """The step of a time."""
        if when is None:
            return None
        try:
            return when.at(self.steps)
        except KeyError as letter:
            raise Incomprehensible(f"no step is given for {letter}") from None

    def _known(self, node: Known) -> Any:
        return float(node.value)

    def _stepnumber(self, node: StepNumber) -> Any:
        step = self.step(node.when)
        assert step is not None
        return float(step)

    def _named(self, node: Named) -> Any:
        return self.picked(self.env.look(node, self.step(node.when)), node.index)

    def picked(self, array: Any, index: tuple[str | int, ...]) -> Any:
        """An entry of an array, or the array where there is no index."""
        if not index:
            return array
        numbers = [self.entries[i] if isinstance(i, str) and i in self.entries else i for i in index]
        for number in numbers:
            if isinstance(number, str):
                raise Incomprehensible(f"no entry is given for the index {number}")
        places = [int(n) - (not isinstance(i, str)) for i, n in zip(index, numbers, strict=True)]
        shape = np.shape(array)
        if len(places) == 1 and 1 in shape:
            at = (places[0], 0) if shape[1] == 1 else (0, places[0])
        elif len(places) == 2 and 1 not in shape and shape:
            at = (places[0], places[1])
        elif shape == () and all(p == 0 for p in places):
            return array
        else:
            raise Incomprehensible(f"an entry with {len(places)} indices of something of shape {shape}")
        if at[0] >= shape[0] or at[1] >= shape[1]:
            raise OutOfRange("an entry there is not")
        return array[at]

    def _entryof(self, node: EntryOf) -> Any:
        return self.picked(self.array(node.base), node.index)

    def _summands(self, node: Summands) -> Amount:
        amounts, signs, ended = [], [], not any(isinstance(term, Continued) for term in node.terms)
        dotted = not ended
        for term, sign in zip(node.terms, node.signs, strict=True):
            if isinstance(term, Continued):
                continue
            try:
                amounts.append(self.amount(term))
                signs.append(sign)
            except OutOfRange:
                if not dotted:
                    raise
                ended = True
        if not ended or not amounts:
            raise OutOfRange("dots that stand for more terms")
        chains = [amount.chain for amount in amounts]
        if all(chain is not None for chain in chains) and len({chain.by for chain in chains if chain}) == 1:
            shapes = {chain.of_shape for chain in chains if chain}
            if len(shapes) == 1:
                total = sum(-c.entries if s == "-" else c.entries for c, s in zip(chains, signs, strict=True))  # type: ignore[union-attr]
                first = chains[0]
                assert first is not None
                of = first.of if len({chain.of for chain in chains if chain}) == 1 else "a sum"
                return Amount(None, LinearMap(of, first.by, total, first.of_shape, first.by_shape))
        result: Any = None
        for amount, sign in zip(amounts, signs, strict=True):
            value = self.settled(amount)
            if sign == "-":
                value = -value
            if (
                result is not None
                and np.shape(result) != np.shape(value)
                and () not in (np.shape(result), np.shape(value))
            ):
                raise ShapesClash(f"a sum of {_size(result)} and {_size(value)}")
            result = value if result is None else result + value
        return Amount(_number(result))

    def _factors(self, node: Factors) -> Amount:
        amounts = [self.amount(factor) for factor in node.factors]
        try:
            return self.multiplied(amounts, list(node.operators))
        except ShapesClash:
            if not ENTRYWISE_SIGNS.isdisjoint(node.operators) and not ENTRYWISE_SIGNS.issuperset(node.operators):
                return self._tight(amounts, list(node.operators))
            raise

    def _tight(self, amounts: list[Amount], operators: list[str]) -> Amount:
        """Products of matrices before products entry by entry: `s \\odot W^T d`."""
        groups, between, start = [], [], 0
        for at, operator in enumerate([*operators, "\\odot"]):
            if operator in ENTRYWISE_SIGNS:
                groups.append(self.multiplied(amounts[start : at + 1], operators[start:at]))
                between.append(operator)
                start = at + 1
        return self.multiplied(groups, between[:-1])

    def multiplied(self, amounts: list[Amount], operators: list[str]) -> Amount:
        """A product from left to right; factors of a chain rule meet first."""
        result = amounts[0]
        for operator, factor in zip(operators, amounts[1:], strict=True):
            result = self.times(result, operator, factor)
        return result

    def times(self, a: Amount, operator: str, b: Amount) -> Amount:
        """The product of two amounts under the conventions of the document."""
        if a.chain is not None and b.chain is not None:
            chain = composed(a.chain, b.chain)
            if chain is not None and operator not in ENTRYWISE_SIGNS:
                return Amount(None, chain)
        for one, other in ((a, b), (b, a)):
            if one.chain is not None and other.chain is None and np.shape(other.array) == ():
                c = one.chain
                return Amount(None, LinearMap(c.of, c.by, c.entries * other.array, c.of_shape, c.by_shape))
        left, right = self.settled(a), self.settled(b)
        shapes = np.shape(left), np.shape(right)
        if () in shapes:
            return Amount(left * right)
        sign = self.env.signs.get(operator, "shapes")
        vectors = shapes[0] == shapes[1] and 1 in shapes[0]
        fits = shapes[0][1] == shapes[1][0]
        entrywise = (
            operator in ENTRYWISE_SIGNS or sign == "entrywise" or (vectors or (shapes[0] == shapes[1] and not fits))
        )
        if entrywise:
            if self.env.layout.transposed and 1 in shapes[0] and shapes[0] == shapes[1][::-1]:
                # rows of gradients with columns of values: the result is a row as the gradient is
                left, right = (v if np.shape(v)[0] == 1 else v.T for v in (left, right))
                return Amount(left * right)
            if shapes[0] != shapes[1]:
                raise ShapesClash(f"{_size(left)} entry by entry with {_size(right)}")
            if sign == "matrix" and operator not in ENTRYWISE_SIGNS:
                raise ShapesClash(
                    f"{_size(left)} times {_size(right)}; the sign is the product of matrices in this text"
                )
            self.env.votes[operator, "entrywise"] += 1
            return Amount(left * right)
        if not fits:
            raise ShapesClash(f"{_size(left)} times {_size(right)}")
        self.env.votes[operator, "matrix"] += 1
        return Amount(_number(left @ right))

    def _quotient(self, node: Quotient) -> Amount:
        top, bottom = self.amount(node.top), self.array(node.bottom)
        if top.chain is not None and np.shape(bottom) == ():
            return self.times(top, "", Amount(1.0 / bottom))
        value = self.settled(top)
        if np.shape(bottom) != () and np.shape(value) not in ((), np.shape(bottom)):
            raise ShapesClash(f"{_size(value)} over {_size(bottom)}")
        return Amount(value / bottom)

    def _power(self, node: Power) -> Any:
        base = self.array(node.base)
        exponent: object = self.step(node.exponent) if isinstance(node.exponent, When) else node.exponent
        if isinstance(exponent, Known):
            exponent = int(exponent.value) if exponent.value.denominator == 1 else float(exponent.value)
        if not isinstance(exponent, (int, float)):
            raise Incomprehensible("an exponent that is no number")
        shape = np.shape(base)
        if len(shape) == 2 and shape[0] == shape[1] and isinstance(exponent, int):
            if exponent < 0:
                raise OutOfRange("a negative power of a matrix")
            result: Any = np.eye(shape[0])
            for _ in range(exponent):
                result = result @ base
            return result
        return base**exponent

    def _transposed(self, node: Transposed) -> Any:
        value = self.array(node.base)
        return value if np.shape(value) == () else value.T

    def _length(self, node: Length) -> Any:
        value = self.array(node.base)
        return np.sqrt((value * value).sum()) if np.shape(value) else np.sqrt(value * value)

    def _functionof(self, node: FunctionOf) -> Any:
        if node.function == "prod":
            return self._chained([self.amount(argument) for argument in node.arguments])
        arguments = tuple(self.array(argument) for argument in node.arguments)
        if node.function == "diag" and len(arguments) == 1:
            shape = np.shape(arguments[0])
            if shape == ():
                return arguments[0]
            if 1 not in shape:
                raise ShapesClash("diag of a matrix")
            return arguments[0] * np.eye(max(shape))
        return self.env.call(node, arguments)

    def _chained(self, amounts: list[Amount]) -> Amount:
        result = amounts[0]
        for amount in amounts[1:]:
            if result.chain is None or amount.chain is None or (chain := composed(result.chain, amount.chain)) is None:
                result = self.times(result, "", amount)
            else:
                result = Amount(None, chain)
        return result

    def _partof(self, node: PartOf) -> Any:
        value = self.array(node.base)
        if np.shape(value) == ():
            return value
        start = sum(self.env.extent(name) for name in node.parts[: node.number])
        stop = start + self.env.extent(node.parts[node.number])
        return value[start:stop] if np.shape(value)[1] == 1 else value[:, start:stop]

    def _derivative(self, node: Derivative) -> Amount:
        return self.env.derivative(node, self)

    def _gradientname(self, node: GradientName) -> Amount:
        return self.env.gradient(node, self)

    def _accumulated(self, node: Accumulated) -> Amount:
        if node.over == "examples":
            return self.amount(node.body)
        if node.over == "time":
            first, last = self.step(node.lower), self.step(node.upper)
            assert first is not None and last is not None and node.lower is not None and node.upper is not None
            run = range(first, last + 1)
            if node.kind == "prod" and first > last and node.lower.offset <= 0 < node.upper.offset:
                run = range(first, last - 1, -1)  # a product from t down to k+1, in the order of its factors
            amounts = [
                Calculator(self.env, self.steps | {node.letter: at}, self.entries).amount(node.body) for at in run
            ]
        else:
            count = self.env.length(node.letter, node.body, node.above)
            amounts = [
                Calculator(self.env, self.steps, self.entries | {node.letter: at}).amount(node.body)
                for at in range(count)
            ]
        if not amounts:
            return Amount(0.0 if node.kind == "sum" else 1.0)
        if node.kind == "prod":
            return self._chained(amounts)
        result = amounts[0]
        for amount in amounts[1:]:
            if (
                result.chain is not None
                and amount.chain is not None
                and result.chain.by == amount.chain.by
                and result.chain.of_shape == amount.chain.of_shape
            ):
                c = result.chain
                of = c.of if c.of == amount.chain.of else "a sum"
                result = Amount(None, LinearMap(of, c.by, c.entries + amount.chain.entries, c.of_shape, c.by_shape))
                continue
            a, b = self.settled(result), self.settled(amount)
            if np.shape(a) != np.shape(b) and () not in (np.shape(a), np.shape(b)):
                raise ShapesClash(f"a sum of {_size(a)} and {_size(b)}")
            result = Amount(a + b)
        return result

    def _blocks(self, node: Blocks) -> Any:
        rows = [[self.array(entry) for entry in row] for row in node.rows]
        flat = [entry for row in rows for entry in row]
        if any(np.shape(entry) == () for entry in flat):
            raise Incomprehensible("a stack of numbers")
        if len(rows[0]) == 1 and all(np.shape(row[0])[0] == 1 for row in rows):
            return np.concatenate([row[0] for row in rows], axis=1)
        try:
            return np.concatenate([row[0] if len(row) == 1 else np.concatenate(row, axis=1) for row in rows], axis=0)
        except (ValueError, TypeError) as error:
            raise ShapesClash(f"blocks that do not fit: {error}") from None


def _number(value: Any) -> Any:
    """One by one is a number."""
    return value.sum() if np.shape(value) == (1, 1) else value


def _size(value: Any) -> str:
    shape = np.shape(value)
    return "a number" if shape == () else f"{shape[0]} x {shape[1]}"


def letters_of(node: Meaning) -> tuple[set[str], set[str]]:
    """The free letters of a tree: those of times and those of entries."""
    times: set[str] = set()
    entries: set[str] = set()
    bound_times: set[str] = set()
    bound_entries: set[str] = set()
    for part in walk(node):
        if isinstance(part, (Named, GradientName)):
            times |= set(part.when.letters if part.when else ())
            entries |= {i for i in part.index if isinstance(i, str)}
        elif isinstance(part, EntryOf):
            entries |= {i for i in part.index if isinstance(i, str)}
        elif isinstance(part, Power) and isinstance(part.exponent, When):
            times |= set(part.exponent.letters)
        elif isinstance(part, Accumulated):
            (bound_times if part.over == "time" else bound_entries).add(part.letter)
            for limit in (part.lower, part.upper):
                times |= set(limit.letters if limit else ())
    return times - bound_times - {"T"}, entries - bound_entries


def exact(value: float) -> Known:
    """A number as a tree."""
    return Known(Fraction(value).limit_denominator(10**12))
