"""The recorded graph as something to look at: nodes, edges, names, and recomputation with other values.

`Graph` is an immutable view and holds no copy of anything. Every reader (draw, derive, verify, compile) starts here;
differentiation, the one reader that adds nodes, stands in `autodiff`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

from .errors import GraphError
from .scope import Index, Scope, entered
from .tensor import Tensor, Value, as_value


def ancestors(outputs: Iterable[Tensor], stop: Container[int] = ()) -> list[Tensor]:
    """Every node the outputs depend on, themselves included, each after its inputs.

    What lies behind the nodes whose ids are in `stop` is left out, the nodes themselves are not.
    """
    seen = {output.id: output for output in outputs}
    stack = list(seen.values())
    while stack:
        node = stack.pop()
        if node.id in stop:
            continue
        for x in node.inputs:
            if x.id not in seen:
                seen[x.id] = x
                stack.append(x)
    return [seen[i] for i in sorted(seen)]


def is_constant(node: Tensor) -> bool:
    """Whether a node is nothing but a value: a leaf without a name that asks for no gradient."""
    return node.op is None and node.name is None and not node.requires_grad


def with_inputs(node: Tensor, inputs: Iterable[Tensor], scope: Scope | None = None) -> Tensor:
    """The same node on other inputs (and in another scope), with an id of its own so that ids keep the order."""
    scope = node.scope if scope is None else scope
    return Tensor(node.value, node.op, tuple(inputs), node.params, node.name, scope, node.requires_grad)


def replaced(output: Tensor, change: Callable[[Tensor, tuple[Tensor, ...]], Tensor | None]) -> Tensor:
    """The graph again, with what `change(node, new inputs)` gives in place of nodes; None keeps a leaf, copies others.

    `change` runs in the scope of the node.
    """
    became: dict[int, Tensor] = {}
    for node in ancestors([output]):
        inputs = tuple(became[x.id] for x in node.inputs)
        with entered(node.scope):
            new = change(node, inputs)
        if new is None:
            new = node if node.op is None else with_inputs(node, inputs)
        became[node.id] = new
    return became[output.id]


class Graph:
    """An immutable view of everything that led to the outputs. Raises `GraphError` for anything but Tensors, or none.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> W = tg.tensor(0.5, name="W")
    >>> with tg.step(0):
    ...     h = tg.tensor(1.0, name="h")
    >>> for t in tg.steps(1, 4):
    ...     h = tg.name("h", np.tanh(W * h))
    >>> graph = tg.Graph(h)
    >>> len(graph), [p.name for p in graph.parameters], round(graph["h", 3].item(), 4)
    (8, ['W'], 0.113)
    """

    def __init__(self, outputs: Tensor | Iterable[Tensor]) -> None:
        self.outputs: tuple[Tensor, ...] = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
        if not self.outputs or not all(isinstance(output, Tensor) for output in self.outputs):
            raise GraphError("a Graph starts from one Tensor or several; nothing else leads back to a computation")
        self.nodes: tuple[Tensor, ...] = tuple(ancestors(self.outputs))

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"<Graph of {len(self.nodes)} nodes, {len(self.leaves)} of them leaves>"

    @property
    def edges(self) -> list[tuple[Tensor, Tensor]]:
        """`(source, target)` once for each use: `x * x` has two edges from x."""
        return [(x, node) for node in self.nodes for x in node.inputs]

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        """Nodes that nothing computed: parameters, inputs, initial states and constants."""
        return tuple(node for node in self.nodes if node.op is None)

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """Leaves that ask for a gradient and belong to no time step."""
        return tuple(node for node in self.leaves if node.requires_grad and node.scope.step is None)

    def select(self, name: str | None = None, step: Index | None = None, op: str | None = None) -> list[Tensor]:
        """The nodes with this name, time step and primitive; what is None is not asked for."""
        return [
            node
            for node in self.nodes
            if (name is None or node.name == name)
            and (step is None or node.scope.step == step)
            and (op is None or (node.op is not None and node.op.name == op))
        ]

    def __getitem__(self, key: str | tuple[str, Index]) -> Tensor:
        """`graph["h", 3]` or `graph["W"]`; raises `GraphError` unless exactly one node is meant."""
        name, step = key if isinstance(key, tuple) else (key, None)
        found = [n for n in self.select(name=name) if n.scope.step == step]
        if len(found) == 1:
            return found[0]
        known = sorted({n.name for n in self.nodes if n.name})
        at = "" if step is None else f" at t={step}"
        times = sorted({str(n.scope.step) for n in self.select(name=name)})
        found_at = f"it stands at t = {', '.join(times)}" if times else f"names are {', '.join(known) or 'none'}"
        raise GraphError(f"{len(found)} nodes are called {name!r}{at}; {found_at}")

    def collapse(self, depth: int = 1) -> dict[tuple[str, ...], list[Tensor]]:
        """Nodes grouped by the first `depth` scopes of their path."""
        groups: dict[tuple[str, ...], list[Tensor]] = {}
        for node in self.nodes:
            key = tuple(str(s.index) if s.label is None else s.label for s in node.scope.path[:depth])
            groups.setdefault(key, []).append(node)
        return groups

    def replay(self, values: Mapping[Tensor, Any]) -> list[Value]:
        """The outputs recomputed with the given values in place of the recorded ones, leaves or not; records nothing.

        Complex values are allowed: this is how a complex-step derivative is taken at any node.
        """
        changed: dict[int, Any] = {node.id: value for node, value in values.items()}
        for node in self.nodes:
            if node.op is None or node.id in changed:
                continue
            if any(x.id in changed for x in node.inputs):
                xs = [changed.get(x.id, x.value) for x in node.inputs]
                changed[node.id] = as_value(node.op.forward(*xs, **(node.params or {})))
        return [changed.get(output.id, output.value) for output in self.outputs]
