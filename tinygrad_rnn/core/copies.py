"""Copies of Tensors, in memory or through a file: each has an identity of its own, and what shared a node still does.

Whoever copies objects asks each for the parts to make it from, and would recurse through a graph along its inputs. Here
a Tensor is made from a `Batch`: all nodes behind it that no earlier batch of the same copy holds, as a flat list.
"""

from __future__ import annotations

from threading import local
from typing import Any
from weakref import ref

import numpy as np

from .graph import ancestors
from .tensor import Tensor

_latest = local()


class Batch:
    """Nodes of one copy, each after its inputs; `nodes` are also those of the batches before.

    A batch lives as long as the copy that it was made for is under way: that of before, if there still is one, belongs
    to the same copy.
    """

    def __init__(self, output: Tensor) -> None:
        held = getattr(_latest, "batch", None)
        self.before: Batch | None = held() if held is not None else None
        self.places: dict[int, int] = {} if self.before is None else self.before.places
        self.nodes: list[Tensor] = [] if self.before is None else self.before.nodes
        self.first = len(self.nodes)
        for node in ancestors([output], stop=self.places):
            if node.id not in self.places:
                self.places[node.id] = len(self.nodes)
                self.nodes.append(node)
        self.end = len(self.nodes)
        _latest.batch = ref(self)

    def __getstate__(self) -> tuple[Batch | None, list[Any]]:
        return self.before, [self._facts(node) for node in self.nodes[self.first : self.end]]

    def _facts(self, x: Tensor) -> tuple[Any, ...]:
        inputs = tuple([self.places[i.id] for i in x.inputs])
        return x.value, x.op, inputs, x.params, x.name, x.scope, x.requires_grad, x.grad

    def __setstate__(self, state: tuple[Batch | None, list[Any]]) -> None:
        before, facts = state
        self.nodes = [] if before is None else before.nodes
        for value, op, inputs, params, name, scope, requires_grad, grad in facts:
            if type(value) is np.ndarray:
                value.flags.writeable = False
            node = Tensor(value, op, tuple([self.nodes[i] for i in inputs]), params, name, scope, requires_grad)
            if grad is not None:
                node.grad = grad
            self.nodes.append(node)


def taken(batch: Batch, place: int) -> Tensor:
    """One node of a batch."""
    return batch.nodes[place]


def parts(x: Tensor, protocol: Any) -> tuple[Any, ...]:
    """What a copy of a Tensor is made from; `protocol` is that of `__reduce_ex__`, and makes no difference."""
    batch = Batch(x)
    return taken, (batch, batch.places[x.id])


Tensor.__reduce_ex__ = parts  # type: ignore[method-assign, assignment]
