"""What a side of a claim is worth on an unrolled model, and whether two sides are equal at every step they speak of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from ..core.errors import ShapeError
from .formula_values import Amount, Calculator, DerivativeLayout, LinearMap, OutOfRange, Point, ShapesClash, letters_of
from .meaning import (
    Blocks,
    Derivative,
    FunctionOf,
    GradientName,
    Incomprehensible,
    Meaning,
    Named,
    When,
    rebuilt,
    shifted,
    walk,
)
from .unrolled_model import FORMULA, Reader, Unrolled

HOLDS, DIFFERS, CLASH, MISSING, UNKNOWN = "holds", "differs", "shapes", "missing", "unknown"
#: rounding of sums of products of numbers around 1 in double precision stays far below, wrong formulas far above
RELATIVE = 1e-9
Path = frozenset[tuple[str, int]]


class NotDefined(Exception):
    """A name that the document neither defines nor uses in its model."""


@dataclass(frozen=True)
class Alias:
    """What a gradient's name stands for: a derivative at the time letter, all of it or the share of some readers."""

    meaning: Meaning
    share: str = "total"


@dataclass(frozen=True)
class SideComparison:
    """How two sides compare: a word, the largest difference as a share of the values, and what stood in the way."""

    result: str
    error: float = 0.0
    why: str = ""
    vanishes: bool = False


@dataclass
class ClaimValues:
    """The environment in which sides of claims are evaluated: arrays, read off an unrolled model."""

    unrolled: Unrolled
    aliases: Mapping[str, Alias]
    layout: DerivativeLayout = field(default_factory=DerivativeLayout)
    signs: Mapping[str, str] = field(default_factory=dict)
    mode: str = "total"
    step_share: bool = False
    path: Path | None = None
    votes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def look(self, name: Named, step: int | None) -> Any:
        """The value of a name."""
        return np.asarray(self.unrolled.nodes[self.point(name, step)].value)

    def point(self, name: Named, step: int | None) -> Point:
        """The point of the model a name means. Raises `NotDefined` or `OutOfRange`."""
        nodes = self.unrolled.nodes
        if (name.key, step) in nodes:
            return name.key, step
        if name.key in self.unrolled.network.losses and ("the loss of a step", step) in nodes:
            return "the loss of a step", step
        known = [at for key, at in nodes if key == name.key]
        if step == 0 and any(at is not None for at in known):
            self.unrolled.node(name.key, 0)
            return name.key, 0
        if not known:
            raise NotDefined(name.key)
        if step is None:
            raise Incomprehensible(f"{name.key} has no time here, but one in the model")
        if step == 0 and (name.key, True) not in self.unrolled.network.definitions:  # an input before the first step
            self.unrolled.node(name.key, 0)
            return name.key, 0
        raise OutOfRange(f"{name.key} at {step}")

    def call(self, node: FunctionOf, arguments: tuple[Any, ...]) -> Any:
        """A function of values."""
        return np.asarray(self._tensors(lambda: self.unrolled.call(node, arguments), node))

    def _tensors(self, compute: Callable[[], Any], node: Meaning) -> Any:
        before = self.unrolled._shape
        if isinstance(node, FunctionOf):
            for definition in self.unrolled.network.definitions.values():
                if isinstance(definition.body, FunctionOf) and definition.body.function == node.function:
                    left = Named(definition.key, When() if definition.timed else None)
                    self.unrolled._shape = self.unrolled.shape(left)
        try:
            return compute()
        finally:
            self.unrolled._shape = before

    def length(self, letter: str, body: Meaning, above: str) -> int:
        """How many entries a letter counts."""
        plain = rebuilt(body, self._plain)
        return self.unrolled.length(letter, plain, above)

    def extent(self, name: Named) -> int:
        """The length of a vector."""
        return self.unrolled.extent(name)

    def _plain(self, node: Meaning) -> Meaning | None:
        if isinstance(node, GradientName) and node.index:
            meaning = self._alias(node).meaning
            if isinstance(meaning, Derivative) and isinstance(meaning.by, Named):
                return replace(meaning.by, index=node.index)
        return None

    # -- derivatives --------------------------------------------------------------------------------------------------
    def derivative(self, node: Derivative, calculator: Calculator) -> Amount:
        """The derivative of a number, a vector or an expression by a point of the model."""
        if node.note == self.unrolled.network.time:  # the share of one step
            inner = replace(self, step_share=True)
            return inner._derived(node, calculator, "total", None)
        return self._derived(node, calculator, self._noted(node.note), self.path)

    def _derived(self, node: Derivative, calculator: Calculator, share: str, path: Path | None) -> Amount:
        by = node.by
        if not isinstance(by, Named):
            raise Incomprehensible("a derivative by something that is no name")
        step = calculator.step(by.when)
        point = self.point(by, step)
        network = self.unrolled.network
        of: Point | str | None = None
        index: tuple[str | int, ...] = ()
        conditions: list[Callable[[Reader], bool]] = []
        if node.of is None or (isinstance(node.of, Named) and node.of.when is None and node.of.key == network.loss):
            target = self._loss()
        elif isinstance(node.of, Named):
            at = calculator.step(node.of.when)
            of = self.point(node.of, at)
            target = self.unrolled.nodes[of]
            index = node.of.index
            if np.shape(target.value) != ():
                conditions.append(_mode(self.mode, of))
        else:
            expression = node.of
            of = f"an expression {hash(expression)}"
            inner = Calculator(self.unrolled, dict(calculator.steps), dict(calculator.entries))
            target = self._tensors(lambda: inner.array(expression), expression)
            explicit = any(isinstance(n, Named) and n == by for n in walk(expression))
            if explicit and isinstance(expression, FunctionOf):
                conditions.append(lambda reader: reader == FORMULA)
                owner = [
                    d.key
                    for d in network.definitions.values()
                    if d.timed and isinstance(d.body, FunctionOf) and d.body.function == expression.function
                ]
                times = [n.when for n in expression.arguments if isinstance(n, Named) and n.when is not None]
                if owner and times:
                    of = (owner[0], max(calculator.step(when) or 0 for when in times))
            if not hasattr(target, "requires_grad"):
                raise Incomprehensible("a derivative of something that does not change")
        if point[1] is None:
            if self.step_share and "t" in calculator.steps and np.shape(target.value) == ():
                now = calculator.steps[network.time]
                conditions.append(lambda reader: reader[1] == now)
        elif share != "total" and step is not None:
            conditions.append(lambda reader: _shared(share, reader, step))
        if path is not None and point[1] is not None:
            begins = point[1]
            conditions.append(lambda reader: reader[1] is not None and (reader[0], reader[1] - begins) in path)
        chain = self.unrolled.map_of(target, of, point, lambda reader: all(holds(reader) for holds in conditions))
        if index or by.index:
            return Amount(self._entry(chain, index, by.index, calculator))
        return Amount(None, chain)

    def _loss(self) -> Any:
        if ("the loss", None) not in self.unrolled.nodes:
            raise Incomprehensible("the loss of the model cannot be computed")
        return self.unrolled.nodes["the loss", None]

    def _entry(
        self, chain: LinearMap, of: tuple[str | int, ...], by: tuple[str | int, ...], calculator: Calculator
    ) -> Any:
        entries = chain.entries
        if chain.of_shape:
            if not of:
                raise Incomprehensible("one entry below, all of them above")
            flat = entries.reshape((max(chain.of_shape), *chain.by_shape))
            entries = flat[self._number(of[0], calculator)]
        return calculator.picked(entries, by) if by else entries

    def _number(self, index: str | int, calculator: Calculator) -> int:
        if isinstance(index, int):
            return index - 1
        if index not in calculator.entries:
            raise Incomprehensible(f"no entry is given for the index {index}")
        return calculator.entries[index]

    def _noted(self, note: str) -> str:
        if not note:
            return "total"
        for word in ("future", "next", "later", "recurrent", "t+1"):
            if word in note:
                return "handed"
        if note.startswith(("from", "via", "through")):
            via = note.removeprefix("from").removeprefix("via").removeprefix("through").strip()
            return f"via {via}" if via else "own"
        return "own"

    def gradient(self, node: GradientName, calculator: Calculator) -> Amount:
        """A gradient by its name."""
        alias = self._alias(node)
        meaning = alias.meaning
        time = self.unrolled.network.time
        if node.when is not None:
            meaning = shifted(meaning, time, node.when)
        if not isinstance(meaning, Derivative):
            amount = calculator.amount(meaning)
            return Amount(calculator.picked(calculator.settled(amount), node.index)) if node.index else amount
        if node.index and isinstance(meaning.by, Named):
            meaning = replace(meaning, by=replace(meaning.by, index=node.index))
        by = meaning.by
        timeless = isinstance(by, Named) and by.when is None
        if timeless and node.when is not None:
            inner = replace(self, step_share=True, path=None)
            at = calculator.step(node.when)
            assert at is not None
            return inner._derived(
                meaning, Calculator(inner, calculator.steps | {time: at}, calculator.entries), "total", None
            )
        return self._derived(meaning, calculator, alias.share, self.path if alias.share == "total" else None)

    def _alias(self, node: GradientName) -> Alias:
        if node.key not in self.aliases:
            raise NotDefined(node.key.replace("d ", "d"))
        return self.aliases[node.key]


def _mode(mode: str, of: Point) -> Callable[[Reader], bool]:
    if mode == "step":
        return lambda reader: reader[1] == of[1]
    if mode == "direct":
        return lambda reader: reader in (of, (inner_key(of[0]), of[1]))
    return lambda reader: True


def inner_key(key: str) -> str:
    """The name given to what a quantity's outermost function is applied to."""
    return f"pre {key}"


def _shared(share: str, reader: Reader, step: int) -> bool:
    if reader[1] is None:
        return False
    if share == "handed":
        return reader[1] > step
    if share == "own":
        return reader[1] <= step
    via = share.removeprefix("via ").split("_")[0]
    return reader[0].removeprefix("pre ").rstrip("~") == via.rstrip("~")


@dataclass
class FreeNames:
    """An environment for identities of functions: every name is a given number."""

    unrolled: Unrolled
    numbers: Mapping[str, float]
    layout: DerivativeLayout = field(default_factory=DerivativeLayout)
    signs: Mapping[str, str] = field(default_factory=dict)
    votes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def look(self, name: Named, step: int | None) -> Any:
        """The number of a name."""
        return self.numbers[name.key]

    def call(self, node: FunctionOf, arguments: tuple[Any, ...]) -> Any:
        """A function of numbers."""
        return self.unrolled.call(node, arguments)

    def derivative(self, node: Derivative, calculator: Calculator) -> Amount:
        """Identities of functions have no other derivatives."""
        raise Incomprehensible("a derivative in an identity")

    def gradient(self, node: GradientName, calculator: Calculator) -> Amount:
        """Identities of functions have no gradients."""
        raise Incomprehensible("a gradient in an identity")

    def length(self, letter: str, body: Meaning, above: str) -> int:
        """Numbers have no entries."""
        raise Incomprehensible(f"nothing says how many {letter} there are")

    def extent(self, name: Named) -> int:
        """Numbers have one entry."""
        return 1


# -- comparing --------------------------------------------------------------------------------------------------------
def settings(
    sides: tuple[Meaning, ...], values: ClaimValues, skip_last: bool = False
) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
    """Steps and entries for the free letters of two sides."""
    times: set[str] = set()
    entries: set[str] = set()
    for side in sides:
        more_times, more_entries = letters_of(side)
        times |= more_times
        entries |= more_entries
    time, last = values.unrolled.network.time, values.unrolled.T
    if values.step_share:
        times.add(time)
    others = sorted(times - {time})
    first = 2 if any(_looks_back(side, time) for side in sides) else 1
    steps_of_time = range(first, last + 1 - skip_last) if time in times else (None,)
    lengths = [values.length(letter, side, "") for letter in sorted(entries) for side in [_with_letter(sides, letter)]]
    for now in steps_of_time:
        for rest in product(range(1, last + 1), repeat=len(others)):
            if now is not None and any(step >= now for step in rest):
                continue
            steps = {"T": last} | dict(zip(others, rest, strict=True)) | ({} if now is None else {time: now})
            for numbers in product(*(range(min(n, 2)) for n in lengths)):
                yield steps, dict(zip(sorted(entries), numbers, strict=True))


def _looks_back(side: Meaning, time: str) -> bool:
    """Whether a side reads the step before, which for the first step is a beginning and no step."""
    whens = [n.when for n in walk(side) if isinstance(n, (Named, GradientName)) and n.when is not None]
    return any(when.terms == ((time, 1),) and when.offset < 0 for when in whens)


def _with_letter(sides: tuple[Meaning, ...], letter: str) -> Meaning:
    for side in sides:
        if letter in letters_of(side)[1]:
            return side
    return sides[0]


def compare(
    left: Meaning,
    left_values: ClaimValues,
    right: Meaning,
    right_values: ClaimValues,
    skip_last: bool = False,
    quick: bool = False,
) -> SideComparison:
    """Whether two sides are equal at every step; `quick` looks at the first few settings only."""
    worst, seen, vanishes = 0.0, 0, True
    try:
        for count, (steps, entries) in enumerate(settings((left, right), right_values, skip_last)):
            if quick and count > 3:
                break
            try:
                a = Calculator(left_values, dict(steps), dict(entries)).amount(left)
                b = Calculator(right_values, dict(steps), dict(entries)).amount(right)
            except OutOfRange:
                continue
            b = _part_of_stack(a, b, right_values)
            error, empty = _difference(a, b, left_values, right_values)
            seen += 1
            vanishes = vanishes and empty
            worst = max(worst, error)
            if worst > RELATIVE:
                return SideComparison(DIFFERS, worst)
    except (ShapesClash, ShapeError) as why:
        return SideComparison(CLASH, why=str(why))
    except NotDefined as name:
        return SideComparison(MISSING, why=str(name))
    except (Incomprehensible, ArithmeticError, ValueError, TypeError, IndexError, KeyError, AttributeError) as why:
        return SideComparison(UNKNOWN, why=str(why))  # one formula that cannot be evaluated is no reason to stop
    if not seen:
        return SideComparison(UNKNOWN, why="it speaks of no step of the sequence")
    return SideComparison(HOLDS, worst, vanishes=vanishes)


def _difference(a: Amount, b: Amount, left: ClaimValues, right: ClaimValues) -> tuple[float, bool]:
    if (
        a.chain is not None
        and b.chain is not None
        and a.chain.entries.shape == b.chain.entries.shape
        and a.chain.by == b.chain.by
    ):
        x, y = a.chain.entries, b.chain.entries
    else:
        x = np.asarray(Calculator(left, {}).settled(a))
        y = np.asarray(Calculator(right, {}).settled(b))
        if x.shape != y.shape:
            if y.shape == () and not np.any(y):
                y = np.zeros_like(x)
            else:
                raise ShapesClash(f"left is {_shape(x)}, right is {_shape(y)}")
    scale = max(float(np.max(np.abs(x), initial=0.0)), float(np.max(np.abs(y), initial=0.0)))
    if scale == 0.0:
        return 0.0, True
    difference = float(np.max(np.abs(x - y), initial=0.0)) / scale
    return (difference if difference == difference else float("inf")), False


def _part_of_stack(a: Amount, b: Amount, values: ClaimValues) -> Amount:
    """The part of a stack's gradient that belongs to what is differentiated by, where all of it was written."""
    if a.chain is None or a.chain.of_shape != () or b.chain is not None or 1 not in np.shape(b.array):
        return b
    size = max(np.shape(b.array))
    if max(a.chain.by_shape, default=1) >= size:
        return b
    unrolled = values.unrolled
    for definition in unrolled.network.definitions.values():
        for node in walk(definition.body):
            if isinstance(node, Blocks) and all(len(row) == 1 and isinstance(row[0], Named) for row in node.rows):
                parts = [row[0] for row in node.rows]
                ends = np.cumsum([unrolled.extent(part) for part in parts if isinstance(part, Named)])
                keys = [part.key for part in parts if isinstance(part, Named)]
                if int(ends[-1]) == size and a.chain.by[0] in keys:
                    at = keys.index(a.chain.by[0])
                    start = 0 if at == 0 else int(ends[at - 1])
                    return Amount(np.ravel(b.array)[start : int(ends[at])].reshape(a.chain.by_shape))
    return b


def _shape(value: Any) -> str:
    return "a number" if np.shape(value) == () else " x ".join(str(n) for n in np.shape(value))
