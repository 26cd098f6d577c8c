"""Which node is which quantity at which time step, however the run was handed over.

Every question of this folder starts here; none searches a graph by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.errors import GraphError
from ..core.graph import Graph
from ..core.tensor import Tensor

#: a Tensor or several, a `Graph`, anything with a `.graph` (an unrolled model), or a layer's trace
GraphSource = Any
NodeTimeline = dict[int, Tensor]


def quantities(source: GraphSource) -> dict[str, NodeTimeline]:
    """The named nodes by name and time step; the scope stands in front (`l0.h`) where the name alone is not enough.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, state, trace = tg.nn.GRU(2, 3)(np.ones((4, 1, 2)), trace=True)
    >>> found = tg.analysis.quantities(output)
    >>> list(found["z"]), set(trace) <= set(found)
    ([1, 2, 3, 4], True)
    """
    if isinstance(source, Mapping):
        return {name: {_step(node): node for node in nodes} for name, nodes in source.items()}
    by_name: dict[str, dict[str, NodeTimeline]] = {}
    for node in graph_of(source).nodes:
        if node.name is not None and isinstance(node.scope.step, int):
            scope = ".".join(s.label for s in node.scope.path if s.label)
            by_name.setdefault(node.name, {}).setdefault(scope, {})[node.scope.step] = node
    timelines: dict[str, NodeTimeline] = {}
    for name, places in by_name.items():
        steps = [t for timeline in places.values() for t in timeline]
        if len(steps) == len(set(steps)):
            places = {"": {t: node for timeline in places.values() for t, node in timeline.items()}}
        for scope, timeline in places.items():
            timelines[f"{scope}.{name}" if scope else name] = dict(sorted(timeline.items()))
    return timelines


def quantity(source: GraphSource, name: str) -> NodeTimeline:
    """One quantity by time step; raises `GraphError`, naming what there is, for an unknown name."""
    timelines = quantities(source)
    if name not in timelines:
        raise GraphError(
            f"no quantity is called {name!r} at time steps; there are {', '.join(sorted(timelines)) or 'none'}"
        )
    return timelines[name]


def carried(source: GraphSource) -> tuple[str, ...]:
    """The quantities that a step reads from its neighbour in time: the states; raises `GraphError` if there are none.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.analysis.carried(tg.nn.LSTM(2, 3)(np.ones((4, 1, 2)))[0])
    ('h', 'c')
    """
    timelines = quantities(source)
    owner = {node.id: name for name, timeline in timelines.items() for node in timeline.values()}
    read: dict[str, None] = {}
    for node in graph_of(source).nodes:
        t = node.scope.step
        for x in node.inputs:
            if isinstance(t, int) and x.id in owner and abs(_step(x) - t) == 1:
                read[owner[x.id]] = None
    if not read:
        raise GraphError("no named quantity is read from one time step to the next: name the states with tg.name")
    return tuple(read)


def graph_of(source: GraphSource) -> Graph:
    """The graph behind a Tensor, several of them, a trace or an unrolled model."""
    if isinstance(source, Mapping):
        return Graph([node for nodes in source.values() for node in nodes])
    graph: Any = getattr(source, "graph", source)
    return graph if isinstance(graph, Graph) else Graph(graph)


def rows(value: Any, axis: int) -> np.ndarray:
    """A state's value with a row for each sample, whatever the layout: (B, n)."""
    array = np.asarray(value)
    if array.ndim == 0:
        return array.reshape(1, 1)
    return np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis])


def _step(node: Tensor) -> int:
    assert isinstance(node.scope.step, int)
    return node.scope.step
