"""What the helpers of a derivation play the part of: the gradient of a quantity, or of an expression without a name.

`delta[t] = (1 - h[t]**2) * dh[t]` is the gradient of what stands inside the tanh. A helper whose part is known is
judged under its own line like any gradient, and its readers see its true value: it is blamed and not they. The part is
found by value: the gradient that the helper is at every step; else the one with which those that read it, and come out
wrong, come out right. A helper of which nothing is wrong is never taken for wrong: it may be a share of a gradient,
which is the whole of it at some steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...core.errors import LanguageError, TinygradError
from ...core.tensor import plain
from ...language import Equation, Model
from ...language.affine import affine
from ...language.expressions import Document, Expr, Ref, Sum, walk
from ...language.rewriting import free_variables, map_refs, names, substituted, with_children
from ...language.run.evaluate import evaluate
from ...language.run.operands import Operand, dense
from ...language.syntax.indices import Comparison, Condition, Lengths, Range, Step
from ...language.text.printer import text
from ...language.types.quantities import Key
from ..measure.probe import Probe
from .terms import CLOSE, plain_operand

#: two lengths at which values are compared are so much longer than the longest delay
LENGTHS = (3, 4)


def with_parts(model: Model) -> Model:
    """The model in which every helper with a part is a gradient: expressions without a name that helpers are the
    gradients of become quantities. The model itself where there are no helpers, or none of them has a part.
    """
    if not model.quantities.helpers:
        return model
    try:
        nodes = _Nodes(model.document)
        whole = Model(nodes.document)
        parts = _parts(model, whole)
        return _called_alike(Model(_document(model, nodes, parts)), model) if parts else model
    except TinygradError:  # an expression that cannot stand by itself, or a model that does not run
        return model


# -- naming expressions ------------------------------------------------------------------------------------------------
@dataclass
class _Nodes:
    """Every inner expression of the forward equations as a quantity; equal ones are one."""

    original: Document
    named: dict[tuple[str, ...], Equation] = field(default_factory=dict)
    #: the forward equations that read a named expression, with what they call it
    document: Document = field(init=False)

    def __post_init__(self) -> None:
        self.taken = {ref.name for e in (*self.original.forward, *self.original.gradients) for ref in _mentioned(e)}
        forward = [self._rewritten(equation) for equation in self.original.forward]
        nodes = [self.named[key] for key in self.named]
        self.document = replace(self.original, forward=(*nodes, *forward))

    def _rewritten(self, equation: Equation) -> Equation:
        when = self._left_by_others(equation)
        if when is None:
            return equation
        children = [self._named(child, equation, when) for child in equation.rhs.children]
        return replace(equation, rhs=with_children(equation.rhs, children))

    def _left_by_others(self, equation: Equation) -> tuple[Condition, ...] | None:
        """The conditions of an equation and, as conditions, what single steps narrower equations take; None where they
        take more than single steps.
        """
        others = [e for e in self.original.forward if e.target.key == equation.target.key and e is not equation]
        narrower = [e for e in others if e.narrowness > equation.narrowness]
        if not narrower or not equation.running:
            return equation.when
        if len(equation.target.indices) > 1 or any(not e.fixed for e in narrower):
            return None
        (variable,) = equation.running
        within = equation.ranges.get(variable, Range())
        apart = [Comparison("!=", e.target.indices[0]) for e in narrower if not within.beyond(e.target.indices[0])]
        tests = tuple(test for condition in equation.when for test in condition.tests)
        return (Condition(variable, (*tests, *apart), within),) if apart else equation.when

    def _named(self, expr: Expr, equation: Equation, when: tuple[Condition, ...]) -> Expr:
        """The expression, its parts replaced by quantities, and itself one if it can be."""
        if not expr.children:
            return expr
        inner = when
        if isinstance(expr, Sum):
            inner = (*(c for c in when if c.variable != expr.variable), expr.over)
        inside = with_children(expr, [self._named(child, equation, inner) for child in expr.children])
        variables = sorted(name for name in free_variables(inside) if not name[0].isupper())
        if not names(inside) or any(name not in self.original.indices for name in variables):
            return inside
        conditions = tuple(condition for condition in when if condition.variable in variables)
        key = (text(inside), *variables, *map(str, conditions))
        if key not in self.named:
            target = Ref(expr.span, self._fresh(), *_indices(variables))
            self.named[key] = replace(equation, target=target, when=conditions, rhs=inside, span=expr.span, text="")
        return self.named[key].target

    def _fresh(self) -> str:
        name = f"node_{len(self.named) + 1}"
        while name in self.taken:
            name += "_"
        return name


def _mentioned(equation: Equation) -> Iterator[Ref]:
    yield equation.target
    yield from (node for node in walk(equation.rhs) if isinstance(node, Ref))


def _document(model: Model, nodes: _Nodes, parts: Mapping[str, Key]) -> Document:
    """The document with the expressions that helpers are gradients of, and only these, as quantities."""
    wanted = {name for name, _ in parts.values()}
    bodies = {equation.target.name: equation for equation in nodes.named.values()}
    called = {name: _called(name, parts, model) for name in wanted & set(bodies)}

    forward = []
    for equation in nodes.document.forward:
        name = equation.target.name
        if name in bodies and name not in called:
            continue
        target = replace(equation.target, name=called.get(name, name))
        forward.append(replace(equation, target=target, rhs=_written_out(equation.rhs, bodies, called)))
    plays = {helper: called.get(name, name) for helper, (name, _) in parts.items()}
    return replace(nodes.original, forward=tuple(forward), plays=plays, unnamed=tuple(called.values()))


def _written_out(expr: Expr, bodies: Mapping[str, Equation], called: Mapping[str, str]) -> Expr:
    if isinstance(expr, Ref) and expr.name in called:
        return replace(expr, name=called[expr.name])
    if isinstance(expr, Ref) and expr.name in bodies:
        return _written_out(bodies[expr.name].rhs, bodies, called)
    return with_children(expr, [_written_out(child, bodies, called) for child in expr.children])


def as_written(model: Model) -> Model:
    """The model without the quantities that stand for expressions: for whatever is shown of it."""
    document = model.document
    if not document.plays:
        return model
    forward = [e for e in document.forward if e.target.name not in document.unnamed]
    written = tuple(replace(equation, rhs=in_own_words(equation.rhs, document)) for equation in forward)
    return _called_alike(Model(replace(document, forward=written, plays={}, unnamed=())), model)


def _called_alike(model: Model, other: Model) -> Model:
    model.name = other.name
    return model


def in_own_words(expr: Expr, document: Document) -> Expr:
    """An expression in the words of the file: what stands for an expression is written out, its gradient is called what
    the file calls it.
    """
    gradients = {f"d{node}": helper for helper, node in document.plays.items()}
    stated = {equation.target.name for equation in document.gradients}
    bodies = {e.target.name: e for e in document.forward if e.target.name in document.unnamed}

    def spelled(ref: Ref) -> Expr:
        if ref.name in gradients and ref.name not in stated:
            return replace(ref, name=gradients[ref.name])
        if ref.name not in bodies:
            return ref
        equation = bodies[ref.name]
        at = dict(zip(equation.running, ref.indices, strict=True))
        return in_own_words(substituted(equation.rhs, at), document)

    return map_refs(expr, spelled) if document.plays else expr


def _called(node: str, parts: Mapping[str, Key], model: Model) -> str:
    """What an expression is called: `a` where its gradient is called da, so that derivations say da as well."""
    helper = next(helper for helper, (name, _) in parts.items() if name == node)
    taken = {name for name, _ in (*model.quantities.used, *model.quantities.stated)}
    own = helper[1:] if helper.startswith("d") else helper
    while not own.isidentifier() or own in taken or (f"d{own}" in taken and f"d{own}" != helper):
        own += "_"
    return own


# -- finding the parts -------------------------------------------------------------------------------------------------
def _parts(model: Model, whole: Model) -> dict[str, Key]:
    shortest = model.longest_delay
    benches = [_Bench(whole, shortest + longer, seed) for seed, longer in enumerate(LENGTHS)]
    parts: dict[str, Key] = {}
    for tried in (_it_is, _its_readers_want):
        while True:
            part = next(_found(tried, model, benches, parts), None)
            if part is None:
                break
            parts |= part
    return parts


def _found(tried: Any, model: Model, benches: Sequence[_Bench], parts: dict[str, Key]) -> Iterator[dict[str, Key]]:
    for key in model.quantities.helpers:
        if key[0] not in parts:
            for node in benches[0].candidates(key):
                if tried(key, node, model, benches, parts):
                    yield {key[0]: node}


def _it_is(key: Key, node: Key, model: Model, benches: Sequence[_Bench], parts: Mapping[str, Key]) -> bool:
    """Whether a helper is the gradient of a node at every step."""
    return all(bench.agrees(key, node, parts) for bench in benches)


def _its_readers_want(key: Key, node: Key, model: Model, benches: Sequence[_Bench], parts: Mapping[str, Key]) -> bool:
    """Whether all that read a helper (and no other of which nothing is known) come out right with the gradient of the
    node in its place, and not all without. The gradient that one of them states itself is not tried: it would hide what
    is wrong there.
    """
    helpers = {name for name, _ in model.quantities.helpers}
    readers = []
    for equation in model.gradients:
        read = names(equation.rhs) & (helpers - set(parts))
        if read == {key[0]} and (model.role(equation) != "helper" or equation.target.name in parts):
            readers.append(equation)
    if not readers or any(node == model.quantities.base(equation.target.key) for equation in readers):
        return False
    with_it = {**parts, key[0]: node}
    return all(bench.right(equation, with_it) for bench in benches for equation in readers) and not all(
        bench.right(equation, parts) for bench in benches for equation in readers
    )


class _Bench:
    """One run of the model in which every expression is a quantity, on which parts are tried."""

    def __init__(self, whole: Model, T: int, seed: int) -> None:
        self.model, self.probe = whole, Probe(whole, whole.unroll(T, seed=3000 + seed))
        self.lengths: Lengths = self.probe.run.lengths
        self.coverage = self.probe.evaluator.coverage

    def candidates(self, key: Key) -> Iterator[Key]:
        """The quantities whose gradients have the indices and the shape of a helper: those with a name whose gradient
        the file does not state, then expressions, the largest first, then the others.
        """
        quantities, shapes = self.model.quantities, self.model.shapes_.names
        stated = {quantities.base(other) for other in quantities.stated}
        fitting = [
            node
            for node in quantities.defined
            if node[1] == key[1]
            and shapes.get(node) == shapes.get(key)
            and (not key[1] or quantities.axes_named(node[0]) == quantities.axes_named(key[0]))
            and node != quantities.loss
        ]
        unnamed = [node for node in fitting if node[0].startswith("node_")]
        named = [node for node in fitting if node not in unnamed and node not in stated]
        yield from named
        yield from reversed(unnamed)
        yield from (node for node in fitting if node in stated)

    def agrees(self, key: Key, node: Key, parts: Mapping[str, Key]) -> bool:
        """Whether a helper is the gradient of the node at each step that it states and at which the node exists."""
        agree = []
        for step in self.coverage[key] if key[1] else [None]:
            if self.probe.reference.has(node[0], step):
                truth = self.probe.reference.of(node[0], step).value
                agree.append(_near(self._value((key[0], step), parts), truth))
        return bool(agree) and all(agree)

    def right(self, equation: Equation, parts: Mapping[str, Key]) -> bool:
        """Whether an equation is right at every step, helpers being the gradients of these nodes."""
        for step in self.model.steps_of(equation, self.lengths):
            if equation.target.name in parts:
                node = parts[equation.target.name][0]
                if not self.probe.reference.has(node, step):
                    continue
                truth = self.probe.reference.of(node, step).value
            else:
                truth = self.probe.truth(equation, step).value
            if not _near(self._right_hand_side(equation, step, parts, ()), truth):
                return False
        return True

    def _value(self, reading: tuple[str, Step], parts: Mapping[str, Key]) -> Any:
        name, step = reading
        key = (name, step is not None)
        equation = self.coverage[key][step] if key[1] else self.model.quantities.stated[key][0]
        return self._right_hand_side(equation, step, parts, (reading,))

    def _right_hand_side(
        self, equation: Equation, step: Step, parts: Mapping[str, Key], path: tuple[tuple[str, Step], ...]
    ) -> Any:
        def lookup(name: str, at: Step) -> Operand:
            key, reading = (name, at is not None), (name, at)
            if key not in self.model.quantities.helpers:
                return plain_operand(self.probe.operand(name, at))
            if name in parts and self.probe.reference.has(parts[name][0], at):
                value = self.probe.reference.of(parts[name][0], at).value
                rows, columns = self.model.shapes_.names[parts[name]]
                return Operand(value, rows, columns)
            stated = self.coverage[key].get(at) if key[1] else self.model.quantities.stated[key][0]
            if stated is None or reading in path or len(path) > MOST_NESTED:
                raise LanguageError(f"{name} is not known at {at}", self.model.document.source.name)
            value = self._right_hand_side(stated, at, parts, (*path, reading))
            if value is None:
                raise LanguageError(f"{name} has no value at {at}", self.model.document.source.name)
            return value if isinstance(value, Operand) else Operand(value)

        try:
            with np.errstate(all="ignore"):
                times, shapes = equation.binding(step, self.lengths), self.model.shapes_
                value = evaluate(equation.rhs, lookup, times, shape_of=shapes.of_any, convention=shapes.convention)
                return dense(value)
        except (TinygradError, LookupError, ValueError, ArithmeticError):
            return None


#: helpers that read helpers are followed so deep
MOST_NESTED = 40


def _near(operand: Operand | None, truth: np.ndarray) -> bool:
    if operand is None:
        return False
    value = np.asarray(plain(operand.value), dtype=float)
    if value.shape != truth.shape:
        if value.size != 1:
            return False
        value = np.broadcast_to(value.reshape(()), truth.shape)
    scale = max(float(np.max(np.abs(value), initial=0.0)), float(np.max(np.abs(truth), initial=0.0)))
    return bool(np.max(np.abs(value - truth), initial=0.0) <= CLOSE * scale)


def _indices(variables: Sequence[str]) -> tuple[Any, ...]:
    """The arguments of a `Ref` with these indices."""
    steps = [affine(name) for name in variables]
    return (steps[0], tuple(steps[1:])) if steps else ()
