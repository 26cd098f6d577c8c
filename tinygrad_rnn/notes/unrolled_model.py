"""A model of a document, unrolled with the engine: every quantity at every step is a Tensor, and every read of one.

Each definition reads its names through copies of its own. The gradient by a copy is the share of one reader, the sum
over all copies the total derivative: paths, shares of a step, direct and total derivatives are sums over some copies
of one backward pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..core.autodiff import gradients
from ..core.errors import ShapeError
from ..core.tensor import Tensor, tensor
from .formula_values import Amount, Calculator, DerivativeLayout, LinearMap, OutOfRange, Point, ShapesClash
from .meaning import (
    Accumulated,
    Derivative,
    Factors,
    FunctionOf,
    GradientName,
    Incomprehensible,
    Meaning,
    Named,
    When,
    walk,
)
from .shape_inference import Inconsistent, ShapeInference
from .smooth_functions import KNOWN, generator, mixing, opaque

#: who reads: a definition's name and step, or a formula of the text
Reader = tuple[str, int | None]
Copy = tuple[Reader, Point]
FORMULA: Reader = ("the formula", None)
#: what may stand in the way of evaluating a definition that was misunderstood
FAILURES = (OutOfRange, Incomprehensible, ShapesClash, ArithmeticError, ValueError, TypeError, IndexError, KeyError)


@dataclass(frozen=True)
class ModelDefinition:
    """A name and what it is: `body` speaks of the time letter as the name's own time; `index` of its entries."""

    key: str
    timed: bool
    body: Meaning
    index: tuple[str, ...] = ()
    place: int = 0


@dataclass
class Network:
    """A model as found: its definitions, its loss, and what is assumed for want of a definition."""

    name: str
    place: int
    definitions: dict[tuple[str, bool], ModelDefinition]
    time: str = "t"
    loss: str | None = None
    losses: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    assumed: list[str] = field(default_factory=list)

    def sinks(self) -> list[str]:
        """What is defined at each step and not read again within it: what a loss would look at."""
        read = {
            part.key
            for (key, timed), definition in self.definitions.items()
            for part in walk(definition.body)
            if timed and isinstance(part, Named) and part.when == When(((self.time, 1),)) and part.key != key
        }
        return [key for key, timed in self.definitions if timed and key not in read and key not in self.losses]

    def loose(self) -> list[str]:
        """What is defined without a time and read by nothing."""
        read = {
            p.key for d in self.definitions.values() for p in walk(d.body) if isinstance(p, Named) and p.when is None
        }
        return [
            key for key, timed in self.definitions if not timed and key not in read | self.losses and key != self.loss
        ]


class Unrolled:
    """Values, gradients and Jacobians of a network of T steps with random parameters and inputs."""

    def __init__(
        self,
        network: Network,
        steps: int,
        seed: int,
        choices: Mapping[str, str],
        rows: bool = False,
        ones: bool = False,
        given: Mapping[Point, float] | None = None,
    ) -> None:
        self.given = given or {}
        self.drawn: set[Point] = set()
        self.network, self.T, self.seed, self.choices, self.rows, self.ones = network, steps, seed, choices, rows, ones
        self.nodes: dict[Point, Tensor] = {}
        self.copies: dict[Copy, Tensor] = {}
        self.layout = DerivativeLayout()
        self.signs: Mapping[str, str] = {}
        self.votes: Counter[tuple[str, str]] = Counter()
        self.inconsistent: list[str] = []
        self._running: set[Point] = set()
        self._shares: dict[tuple[int, int], dict[Copy, Any]] = {}
        self._reader: Reader = FORMULA
        self._shape: tuple[int, ...] = ()
        self.scalars = self._is_scalar()
        self.targets = set(self._targets())
        self.sizes = self._infer()
        self._build()

    # -- sizes --------------------------------------------------------------------------------------------------------
    def _kind(self, name: Named) -> str:
        key, base = name.key, name.key.split("_")[0].rstrip("~^-")
        if key in self.network.losses or key == self.network.loss:
            return "scalar"
        if (key, name.when is not None) in self.network.definitions:
            body = self.network.definitions[key, name.when is not None].body
            if (isinstance(body, Accumulated) and body.over == "time") or self.is_loss_call(body):
                return "scalar"
        if key in self.network.numbers or self.scalars:
            return "scalar"
        upper = base[:1].isupper() and base[0] != "L"
        if name.when is not None:
            latin = len(base) == 1
            return (
                "matrix"
                if upper
                and latin
                and (key, True) in self.network.definitions
                and _is_diagonal(self.network.definitions[key, True].body)
                else "vector"
            )
        return "matrix" if upper and "_0" not in key else "open"

    def _is_scalar(self) -> bool:
        """Whether every parameter has a number in the text: then states are numbers too."""
        bodies = [d.body for d in self.network.definitions.values() if d.timed]
        loose = {n.key for body in bodies for n in walk(body) if isinstance(n, Named) and n.when is None}
        loose -= {key for key, timed in self.network.definitions if not timed}
        return bool(loose) and loose <= self.network.numbers

    def _targets(self) -> Iterator[str]:
        """What a cross entropy compares with: numbers that add up to 1."""
        for definition in self.network.definitions.values():
            for part in walk(definition.body):
                factors = part.factors if isinstance(part, Factors) else ()
                if any(isinstance(f, FunctionOf) and f.function == "log" for f in factors):
                    for factor in factors:
                        if isinstance(factor, Named) and (factor.key, True) not in self.network.definitions:
                            yield factor.key

    def is_loss_call(self, body: Meaning) -> bool:
        """Whether a body is a call of a function that gives a number."""
        return isinstance(body, FunctionOf) and body.function in self.network.losses

    def _infer(self) -> dict[tuple[str, bool], tuple[int, int]]:
        shapes = ShapeInference(self.rows, self._kind)
        order = sorted(self.network.definitions.values(), key=lambda d: d.place)
        for definition in order:
            left = Named(definition.key, When(((self.network.time, 1),)) if definition.timed else None)
            try:
                inner = shapes.of(definition.body)
                outer = shapes.name(left)
                if inner is not None and not definition.index and not shapes.scalar(inner):
                    shapes.same(inner, outer)
            except Inconsistent as why:
                self.inconsistent.append(f"{definition.key}: {why}")
        if "target" in self.choices:
            now = When(((self.network.time, 1),))
            try:
                shapes.same(
                    shapes.name(Named(self.choices["output"], now)), shapes.name(Named(self.choices["target"], now))
                )
            except Inconsistent as why:
                self.inconsistent.append(f"the target {self.choices['target']}: {why}")
        self._inference = shapes
        return shapes.sizes(self.ones)

    def shape(self, name: Named) -> tuple[int, ...]:
        """The shape of a name; () for a number."""
        slot = (name.key, name.when is not None)
        if slot not in self.sizes:
            self._inference.name(name)
            self.sizes.update({k: v for k, v in self._inference.sizes(self.ones).items() if k not in self.sizes})
        size = self.sizes[slot]
        return () if size == (1, 1) else size

    # -- values -------------------------------------------------------------------------------------------------------
    def _build(self) -> None:
        for key, timed in list(self.network.definitions):
            for at in range(1, self.T + 1) if timed else (None,):
                try:
                    self.node(key, at)
                except FAILURES as why:
                    self.inconsistent.append(f"{key}: {why}")
        try:
            self.loss_node()
        except FAILURES as why:
            self.inconsistent.append(f"the loss: {why}")

    def node(self, key: str, at: int | None) -> Tensor:
        """The Tensor of a name at a step."""
        point = (key, at)
        if point in self.nodes:
            return self.nodes[point]
        definition = self.network.definitions.get((key, at is not None))
        if at == self.T + 1 and definition is not None and self._reads_next(definition):
            definition = None  # what a sequence read backwards begins with
        name = Named(key, None if at is None else When((), at))
        if at is not None and ((at > self.T and (definition is not None or at > self.T + 1)) or at < 0):
            raise OutOfRange(f"{key} at step {at} of {self.T}")
        if definition is None or at == 0 or point in self.given:
            made = (
                self._assumed_loss(key, at)
                if key in self.network.losses or key == self.network.loss
                else self._leaf(name)
            )
        else:
            if point in self._running:
                raise Incomprehensible(f"{key} is defined by itself at the same step")
            self._running.add(point)
            before, self._reader = self._reader, point
            try:
                made = self._defined(definition, at, name)
            except ShapeError as why:
                raise ShapesClash(str(why)) from None
            finally:
                self._reader = before
                self._running.discard(point)
        self.nodes[point] = made
        return made

    def _reads_next(self, definition: ModelDefinition) -> bool:
        names = [n for n in walk(definition.body) if isinstance(n, Named) and n.when is not None]
        inner = self.network.definitions.get((f"pre {definition.key}", True))
        names += [n for n in walk(inner.body) if isinstance(n, Named) and n.when is not None] if inner else []
        return any(n.key == definition.key and n.when is not None and n.when.offset > 0 for n in names)

    def _defined(self, definition: ModelDefinition, at: int | None, name: Named) -> Tensor:
        steps = {"T": self.T} | ({} if at is None else {self.network.time: at})
        shape = self.shape(name)
        self._shape = shape
        if not definition.index:
            value = Calculator(self, steps).array(definition.body)
            if np.shape(value) != shape and () in (shape, np.shape(value)) and not self.ones:
                if shape == ():
                    raise ShapesClash(f"{definition.key} should be a number")
                value = value * np.ones(shape)
            return _as_tensor(value)
        size = max(shape) if shape else 1
        total: Any = 0.0
        for entry in range(size):
            unit = np.zeros(shape or (1, 1))
            unit.flat[entry] = 1.0
            value = Calculator(self, steps, {definition.index[0]: entry}).array(definition.body)
            total = total + value * (unit if shape else 1.0)
        return _as_tensor(total)

    def _leaf(self, name: Named) -> Tensor:
        shape = self.shape(name)
        at = None if name.when is None else name.when.offset
        if (name.key, at) in self.given and self.ones:
            return tensor(np.full(shape, self.given[name.key, at], dtype=np.float64))
        self.drawn.add((name.key, at))
        random = generator(self.seed, name.key, at, shape)
        if name.key in self.targets or name.key == self.choices.get("target"):
            values = random.uniform(0.2, 1.0, size=shape)
            values = values / values.sum() if shape else values
        else:
            values = random.normal(size=shape) * (0.7 if name.when is None else 0.9)
        return tensor(np.asarray(values, dtype=np.float64))

    def loss_node(self) -> Tensor:
        """The loss, with what is read by nothing added to it: a number."""
        point = ("the loss", None)
        if point not in self.nodes:
            loss = self.network.loss
            total: Any = 0.0
            if loss is not None and ((loss, False) in self.network.definitions):
                total = self.node(loss, None)
            else:
                total = sum(_as_tensor(self._step_loss(at)) for at in range(1, self.T + 1))
                if loss is not None:
                    self.nodes[loss, None] = _as_tensor(total)
            for key in self.network.loose():
                if (key, None) in self.nodes:
                    seen = (self.read(("the loss", None), (key, None)),)
                    total = total + mixing("loose", self.seed, seen, ())
            self.nodes[point] = _as_tensor(total)
        return self.nodes[point]

    def _step_loss(self, at: int) -> Any:
        for key in self.network.losses:
            if (key, True) in self.network.definitions:
                return self.node(key, at)
        return self._assumed_loss("the loss", at)

    def _assumed_loss(self, key: str, at: int | None) -> Tensor:
        """A loss nobody defines: smooth and random, or one of the usual two where the document's claims ask for it."""
        if at is None:
            return _as_tensor(sum(self.read((key, None), ("the loss of a step", s)) for s in range(1, self.T + 1)))
        point = ("the loss of a step", at)
        if point not in self.nodes:
            reader = point
            kind = self.choices.get("loss", "random")
            sinks = self.network.sinks()
            if kind == "random" or self.choices.get("output", "") not in sinks:
                seen = tuple(self.read(reader, (sink, at)) for sink in sinks)
                made = mixing("loss", self.seed, seen, ()) if seen else 0.0
            else:
                made = self._usual_loss(reader, at, kind, self.choices["output"], self.choices["target"])
            self.nodes[point] = _as_tensor(made)
        return self.nodes[point]

    def _usual_loss(self, reader: Reader, at: int, kind: str, output: str, target: str) -> Any:
        wanted = self.read(reader, (target, at))
        seen = self.read(reader, (output, at))
        if kind == "half the square":
            return 0.5 * np.sum((seen - wanted) ** 2)
        return -np.sum(wanted * np.log(seen))

    def read(self, reader: Reader, point: Point) -> Tensor:
        """A quantity as one reader sees it."""
        copy = (reader, point)
        if copy not in self.copies:
            node = self.nodes[point] if point in self.nodes else self.node(*point)
            self.copies[copy] = node * 1.0
        return self.copies[copy]

    def call(self, node: FunctionOf, arguments: tuple[Any, ...]) -> Any:
        """A function of the table, or a smooth one that stands for a letter left open."""
        name = self.choices.get(f"function {node.function}") or node.function
        if (
            self._reader[0] == self.choices.get("output")
            and self.choices.get("loss") == "cross entropy"
            and len(arguments) == 1
        ):
            name = "softmax"
        if name in self.network.losses or node.function in self.network.losses:
            return mixing(name, self.seed, arguments, ())
        if not arguments:
            arguments = (generator(self.seed, "argument").normal(),)
        if len(arguments) > 1:
            if node.slopes:
                raise Incomprehensible(f"a slope of {node.function}, which has several arguments")
            return mixing(name, self.seed, arguments, self._shape)
        if name not in KNOWN and (np.shape(arguments[0]) != self._shape and self._reader != FORMULA):
            return mixing(name, self.seed, arguments, self._shape)
        value, slope = KNOWN.get(name) or opaque(name, self.seed)
        if node.slopes == 0:
            return value(arguments[0])
        if node.slopes > 1 or slope is None:
            raise Incomprehensible(f"the slope of {node.function}")
        return slope(arguments[0])

    # -- what definitions are evaluated in ----------------------------------------------------------------------------
    def look(self, name: Named, step: int | None) -> Any:
        """A name as the present reader sees it."""
        return self.read(self._reader, (name.key, step))

    def derivative(self, node: Derivative, calculator: Calculator) -> Amount:
        """Definitions have no derivatives."""
        raise Incomprehensible("a derivative in a definition")

    def gradient(self, node: GradientName, calculator: Calculator) -> Amount:
        """Definitions have no gradients."""
        raise Incomprehensible("a gradient in a definition")

    def length(self, letter: str, body: Meaning, above: str) -> int:
        """How many entries a letter counts: the size of what it is an index of."""
        for part in walk(body):
            if isinstance(part, Named) and letter in part.index:
                shape = self.shape(part)
                if shape == ():
                    return 1
                return max(shape) if len(part.index) == 1 else shape[part.index.index(letter)]
            if isinstance(part, Derivative):
                found = [
                    n
                    for side in (part.of, part.by)
                    if side is not None
                    for n in walk(side)
                    if isinstance(n, Named) and letter in n.index
                ]
                if found:
                    return max(self.shape(replace(found[0], index=())) or (1,))
        raise Incomprehensible(f"nothing says how many {letter} there are")

    def extent(self, name: Named) -> int:
        """The length of a vector."""
        return max(self.shape(name) or (1,))

    # -- derivatives --------------------------------------------------------------------------------------------------
    def shares(self, node: Tensor) -> dict[Copy, Any]:
        """The derivative of a Tensor by every copy that was read, with the Tensor's axes first."""
        slot = (node.id, len(self.copies))
        if slot not in self._shares:
            copies = list(self.copies.items())
            targets = [copy for _, copy in copies]
            shape = np.shape(node.value)
            if shape == ():
                found = gradients(node, targets)
            else:
                columns = []
                for entry in range(int(np.prod(shape))):
                    seed = np.zeros(shape)
                    seed.flat[entry] = 1.0
                    columns.append(gradients(node, targets, seed=seed))
                found = [
                    np.stack([np.asarray(c[i]) for c in columns]).reshape(shape + np.shape(targets[i].value))
                    for i in range(len(targets))
                ]
            self._shares[slot] = {name: np.asarray(value) for (name, _), value in zip(copies, found, strict=True)}
        return self._shares[slot]

    def map_of(self, node: Tensor, of: Point | str | None, by: Point, chosen: Callable[[Reader], bool]) -> LinearMap:
        """The derivative of a Tensor by a point, through the readers that are chosen."""
        shape, below = np.shape(node.value), np.shape(self.nodes[by].value)
        total = np.zeros(shape + below)
        for (reader, point), share in self.shares(node).items():
            if point == by and chosen(reader):
                total = total + share
        if self.nodes[by] is node:
            total = total + (np.eye(int(np.prod(shape))).reshape(shape + below) if shape else 1.0)
        return LinearMap(of, by, total, shape, below)

    def readers(self, by: Point) -> list[Reader]:
        """Who reads a point, formulas of the text left out."""
        return [reader for reader, point in self.copies if point == by and reader != FORMULA]


def _is_diagonal(body: Meaning) -> bool:
    return isinstance(body, FunctionOf) and body.function == "diag"


def _as_tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else tensor(np.asarray(value, dtype=np.float64))


def parameters(network: Network, names: Iterable[Named]) -> tuple[list[str], list[str]]:
    """The names without definition: those without a time (parameters) and those with (inputs)."""
    loose = [n for n in names if (n.key, n.when is not None) not in network.definitions]
    return sorted({n.key for n in loose if n.when is None}), sorted({n.key for n in loose if n.when is not None})
