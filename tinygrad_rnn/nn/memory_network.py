"""A memory network: a question looks several times into a given memory, and may be told where to look.

Weights over the cells are found by comparing contents, what the cells hold is averaged with them (document 004, section
8, item 2). A memory that is written to as well stands in `ntm`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import GraphError, ShapeError
from ..core.ops.contractions import linear
from ..core.ops.identity import name
from ..core.ops.reductions import add_n, cross_entropy, log_softmax
from ..core.scope import scope, steps
from ..core.tensor import plain
from .arguments import given_tensor, in_graph
from .cell import Sized
from .dropout import leaf


class MemoryNetwork(Sized):
    """End-to-end memory network (Sukhbaatar et al. 2015), told its addresses or not (Weston et al. 2015).

    k[s] = A m[s],  v[s] = C m[s],  u[0] = B x
    e[t,s] = u[t-1] · k[s],  p[t,s] = softmax of e[t,s] over s,  u[t] = u[t-1] + Σ_s p[t,s] v[s]
    o = c + V u[T]

    Shapes: question x (input_size,) or (B, input_size); memory m (S, memory_size) or (S, B, memory_size). Returns o and
    the weights p (T, S) or (T, S, B) of its T = `hops` readings. Raises `ShapeError` for shapes that do not fit. Raises
    `GraphError` for `hops` below 1.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> net = tg.nn.MemoryNetwork(input_size=3, memory_size=2, hidden_size=4, output_size=5, hops=2)
    >>> o, p = net(np.ones(3), np.ones((6, 2)))
    >>> o.shape, p.shape
    ((5,), (2, 6))
    """

    label = "memory"

    def __init__(
        self, input_size: int, memory_size: int, hidden_size: int, output_size: int, hops: int = 1,
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        if hops < 1:
            raise GraphError(f"MemoryNetwork: it reads at least once, so hops is at least 1, not {hops}")
        self.input_size, self.memory_size, self.hidden_size, self.output_size = (
            input_size, memory_size, hidden_size, output_size
        )  # fmt: skip
        self.hops, self.dtype = hops, np.dtype(dtype)
        self.A = self.weight("A", hidden_size, memory_size)
        self.B = self.weight("B", hidden_size, input_size)
        self.C = self.weight("C", hidden_size, memory_size)
        self.V = self.weight("V", output_size, hidden_size)
        self.c = self.weight("c", output_size)

    def forward(self, x: Any, m: Any) -> Any:
        o, log_p = self.read(x, m)
        return o, np.exp(np.stack(log_p))

    def read(self, x: Any, m: Any) -> tuple[Any, list[Any]]:
        """o, and for each reading the logarithms of its weights.

        Raises `ShapeError` for memories of another shape.
        """
        rows = np.shape(plain(x))[:-1]
        cells = np.shape(plain(m))
        if cells[1:] != (*rows, self.memory_size) or not cells[0]:
            raise ShapeError(
                f"MemoryNetwork: m has to have shape (S, {', '.join(map(str, (*rows, self.memory_size)))}), not {cells}"
            )
        logs = []
        with scope(self.label):
            m = given_tensor("m", m, cells, "MemoryNetwork", self.dtype)
            k, v = name("k", linear(m, self.A)), name("v", linear(m, self.C))
            x = given_tensor("x", x, (*rows, self.input_size), "MemoryNetwork", self.dtype)
            u = name("u", linear(x, self.B))
            for _ in steps(1, self.hops + 1):
                e = name("e", np.sum(u * k, axis=-1))
                log_p = log_softmax(e, axis=0)
                p = name("p", np.exp(log_p))
                r = name("r", np.sum(np.expand_dims(p, -1) * v, axis=0))
                u = name("u", u + r)
                logs.append(log_p)
            return name("o", self.c + linear(u, self.V)), logs

    def loss(self, x: Any, m: Any, y: Any, q: Any = None) -> Any:
        """-log P(y | x, m), one number for each question, plus -Σ q[t,s] log p[t,s] where `q` says where to look.

        y () or (B,): the answers, class numbers; q (T, S) or (T, S, B): the weight each reading is told to give each
        cell (Weston's supervision), or None: trained end to end by the answers alone.
        Raises `ShapeError` for addresses of another shape.
        """
        o, log_p = self.read(x, m)
        L = cross_entropy(o, y)
        if q is None:
            return L
        if np.shape(plain(q)) != (self.hops, *log_p[0].shape):
            raise ShapeError(
                f"MemoryNetwork: q has shape {np.shape(plain(q))}, but has to be {(self.hops, *log_p[0].shape)}"
            )
        told = q if in_graph(q) else np.asarray(plain(q), self.dtype)
        return L - add_n([np.sum(leaf("q", told[t]) * log_p[t], axis=0) for t in range(self.hops)])
