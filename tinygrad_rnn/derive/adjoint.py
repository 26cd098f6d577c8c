"""The raw material of a derivation: what each named quantity's gradient receives from each of its consumers.

The forward graph is cut at the kept names, the leaves and the loss. Each kept quantity's defining expression is run
again on fresh leaves, one for each quantity it reads, and differentiated with a leaf `dw` as cotangent; what comes out
is read as a form of the algebra. Nothing here knows any network.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from ..core.autodiff import gradients
from ..core.errors import DerivationError
from ..core.graph import Graph, ancestors
from ..core.primitives import record
from ..core.scope import ROOT, entered
from ..core.tensor import Tensor
from .algebra import Algebra, Form, Number, Symbol
from .reading import TEXTBOOK, read, shape_of


@dataclass(frozen=True)
class Contribution:
    """What the gradient of `target` receives from `consumer` (None: the loss); steps inside are absolute."""

    target: Tensor
    consumer: Tensor | None
    form: Form


def contributions(loss: Tensor, keep: Collection[str], algebra: Algebra) -> list[Contribution]:
    """For every kept node and leaf below the loss, its share from each kept node that reads it."""
    graph = Graph(loss)
    cut = {node.id: node for node in graph.nodes if node is not loss and (node.op is None or node.name in keep)}
    _check_names(graph, keep)
    _check_cut(graph, cut, loss)
    found: list[Contribution] = []
    for consumer in graph.nodes:
        if consumer is loss or (consumer.id in cut and consumer.op is not None):
            found += _from_consumer(consumer, cut, None if consumer is loss else consumer, algebra)
    return found


def _check_names(graph: Graph, keep: Collection[str]) -> None:
    seen: set[tuple[str, object]] = set()
    for node in graph.nodes:
        if node.name in keep:
            if (node.name, node.scope.step) in seen:
                raise DerivationError(
                    f"two quantities are called {node.name} at {node.scope}: give each a name of its own"
                )
            seen.add((str(node.name), node.scope.step))


def _check_cut(graph: Graph, cut: dict[int, Tensor], loss: Tensor) -> None:
    """Every path through time must pass a kept name, or an expression would grow back to the first step."""
    reach: dict[int, set[tuple[str, object]]] = {}
    depth: dict[int, int] = {}  # steps crossed since the last kept name, sums apart
    for node in graph.nodes:
        crossed = [depth[x.id] + (x.scope.step != node.scope.step and _carries(node)) for x in node.inputs]
        depth[node.id] = 0 if node.id in cut else max(crossed, default=0)
        if depth[node.id] > DEEPEST:
            raise DerivationError(
                f"a state of the loop has no name, so that {node.name or 'the loss'} at {node.scope} reaches back "
                f"{DEEPEST} steps: name it with tg.name (and keep it)"
            )
        if node.id in cut:
            reach[node.id] = set()
            continue
        steps: set[tuple[str, object]] = set().union(*[reach[x.id] for x in node.inputs])
        if node.name is not None and node.scope.step is not None and node is not loss:
            if any(name == node.name and step != node.scope.step for name, step in steps):
                raise DerivationError(
                    f"{node.name} feeds itself through time: keep it (keep=[..., {node.name!r}]), "
                    "or the expressions never end"
                )
            steps = steps | {(node.name, node.scope.step)}
        if node.op is not None and node.op.name == "add_n":
            steps = set()  # a sum over time joins steps without feeding one into the next
        reach[node.id] = steps


#: an expression may reach back so many steps without passing a kept name
DEEPEST = 4


def _carries(node: Tensor) -> bool:
    """Whether an operation feeds one step into the next; a running sum only collects."""
    return node.scope.step is not None and node.op is not None and node.op.name not in ("add", "add_n", "identity")


def symbol(node: Tensor, prefix: str = "") -> Symbol:
    """The quantity a node stands for, or its gradient (with a prefix), at its absolute step."""
    step = node.scope.step
    if isinstance(step, tuple):
        raise DerivationError(
            f"{node.name} is indexed by {step}: a derivation runs along one time; 2-D nets and trees have no single t"
        )
    return Symbol(shape_of(node), prefix + str(node.name), step, bool(prefix))


def _from_consumer(
    consumer: Tensor, cut: dict[int, Tensor], kept: Tensor | None, algebra: Algebra
) -> Iterable[Contribution]:
    with entered(ROOT):
        inputs, copies, root = _clone(consumer, cut)
        wanted = [node for node in inputs if node.requires_grad and node.name is not None]
        if not wanted:
            return
        cotangent = Tensor(np.ones_like(root.value) if root.shape else 1.0, None, (), None, None, ROOT, False)
        pulled = gradients(root, [copies[node.id] for node in wanted], create_graph=True, seed=cotangent)
    known: dict[int, Form] = {
        cotangent.id: symbol(consumer, algebra.prefix) if kept is not None else Number((1, 1), 1.0)
    }
    for original in _originals(consumer, cut):
        if original.name is not None and (original is not consumer or kept is not None):
            known[copies[original.id].id] = symbol(original)
    for node, g in zip(wanted, pulled, strict=True):
        try:
            yield Contribution(node, kept, read(g, known, algebra))
        except DerivationError as error:
            raise DerivationError(f"{_said(consumer, kept, cut)}: {error}") from None


def _said(consumer: Tensor, kept: Tensor | None, cut: dict[int, Tensor]) -> str:
    """The quantity that cannot be derived, and the operations in it that no textbook form is known for."""
    what = "the loss" if kept is None else f"{kept.name} at {kept.scope}"
    ops = {n.op.name for n in _originals(consumer, cut) if n.op is not None} - TEXTBOOK
    return f"{what}, computed with {', '.join(sorted(ops))}" if ops else what


def _originals(consumer: Tensor, cut: dict[int, Tensor]) -> list[Tensor]:
    """The nodes of the consumer's defining expression, up to and with the quantities it reads."""
    return ancestors([consumer], stop=cut.keys() - {consumer.id})


def _clone(consumer: Tensor, cut: dict[int, Tensor]) -> tuple[list[Tensor], dict[int, Tensor], Tensor]:
    """The defining expression on fresh leaves: the quantities it reads, the copy of every node, the copy of the
    consumer.
    """
    copies: dict[int, Tensor] = {}
    inputs: list[Tensor] = []
    for node in _originals(consumer, cut):
        if node.op is None or (node.id in cut and node is not consumer):
            inputs.append(node)
            copies[node.id] = Tensor(node.value, None, (), None, None, ROOT, node.requires_grad)
        else:
            copies[node.id] = record(node.op, tuple(copies[x.id] for x in node.inputs), node.params)
    return inputs, copies, copies[consumer.id]
