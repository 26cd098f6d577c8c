"""Layers without time: affine maps, tables of vectors, normalisation, and chains of layers.

They act on the last axis, so they take single vectors, batches and whole sequences alike. Noise stands in `dropout`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..core.errors import DtypeError, GraphError, ShapeError
from ..core.ops.contractions import linear
from ..core.ops.elementwise import relu, sigmoid, tanh
from ..core.ops.indexing import ranged
from ..core.ops.shaping import embedding
from ..core.tensor import plain
from . import init
from .arguments import in_graph, shape_given, whole
from .module import Module, parameter
from .normalized import EPS, normalized

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"tanh": tanh, "relu": relu, "sigmoid": sigmoid}


def activation(owner: str, f: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function itself, or the one of this name; raises `GraphError` for an unknown name."""
    if callable(f):
        return f
    if f not in ACTIVATIONS:
        raise GraphError(f"{owner}: {f!r} is no activation; there are {', '.join(ACTIVATIONS)}, or give a function")
    return ACTIVATIONS[f]


class Linear(Module):
    """o = c + V h, as in the output of document 004, section 2.2; torch's Linear, with its start.

    Shapes: x (..., in_features), result (..., out_features); `symbols` are the names of weight and bias in the graph.
    Raises `ShapeError` where the last length differs. Raises `ShapeError` for an input of another last length.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> layer = tg.nn.Linear(3, 2)
    >>> layer(np.ones((5, 3))).shape, [(name, p.name) for name, p in layer.named_parameters()]
    ((5, 2), [('weight', 'V'), ('bias', 'c')])
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, symbols: tuple[str, str] = ("V", "c"),
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        self.in_features = whole("Linear", "in_features", in_features)
        self.out_features = whole("Linear", "out_features", out_features)
        bound = 1.0 / float(np.sqrt(in_features))
        self.weight = parameter(symbols[0], init.uniform((out_features, in_features), bound, dtype))
        self.bias = parameter(symbols[1], init.uniform((out_features,), bound, dtype)) if bias else None

    def forward(self, x: Any) -> Any:
        if shape_given(x, "Linear")[-1:] != (self.in_features,):
            raise ShapeError(
                f"Linear: the input has shape {np.shape(plain(x))}, "
                f"but its last length has to be in_features = {self.in_features}"
            )
        y = linear(x, self.weight)
        return y if self.bias is None else y + self.bias


class Embedding(Module):
    """A vector for each of `num_embeddings` symbols: the product of a matrix with a one-hot column, as a look-up.

    Shapes: integers of any shape (...), result (..., embedding_dim). Raises `ShapeError` outside of the table and
    `DtypeError` for anything but integers. Raises `DtypeError` for what is no whole number, `ShapeError` for one that
    is no symbol.

    >>> import tinygrad_rnn as tg
    >>> tg.nn.Embedding(10, 4)([[1, 2, 3]]).shape
    (1, 3, 4)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, symbol: str = "E", dtype: Any = np.float64) -> None:
        self.num_embeddings = whole("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = whole("Embedding", "embedding_dim", embedding_dim)
        self.weight = parameter(symbol, init.normal((num_embeddings, embedding_dim), dtype=dtype))

    def forward(self, indices: Any) -> Any:
        found = np.asarray(plain(indices))
        numbers = ranged(indices, low=0, high=self.num_embeddings) if in_graph(indices) else found
        if found.dtype.kind not in "iu":
            raise DtypeError(f"Embedding: symbols are counted by integers, not {found.dtype}")
        if found.size and not 0 <= found.min() <= found.max() < self.num_embeddings:
            raise ShapeError(
                f"Embedding: symbols run from 0 to {self.num_embeddings - 1}, not {found.min()} to {found.max()}"
            )
        return embedding(self.weight, numbers)


class LayerNorm(Module):
    """Mean 0 and variance 1 along the last axis, then gain γ and bias β (Ba et al. 2016); torch's LayerNorm.

    Raises `ShapeError` for another last length.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> np.round(tg.nn.LayerNorm(2)(np.array([[1.0, 3.0]])).numpy(), 3).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(self, normalized_shape: int, eps: float = EPS, dtype: Any = np.float64) -> None:
        self.size, self.eps = whole("LayerNorm", "normalized_shape", normalized_shape), eps
        self.weight = parameter("γ", init.constant((normalized_shape,), 1.0, dtype))
        self.bias = parameter("β", init.zeros((normalized_shape,), dtype))

    def forward(self, x: Any) -> Any:
        if shape_given(x, "LayerNorm")[-1:] != (self.size,):
            raise ShapeError(
                f"LayerNorm: the input has shape {np.shape(plain(x))}, but its last length has to be {self.size}"
            )
        return normalized(x, self.weight, self.eps) + self.bias


class Sequential(Module):
    """One after the other: each of `layers` (modules or plain functions) takes what the one before returned.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.nn.Sequential(tg.nn.Linear(3, 4), np.tanh, tg.nn.Linear(4, 2))(np.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


class MLP(Module):
    """A multilayer perceptron: affine maps with a nonlinearity after each, except, unless `final`, after the last.

    `sizes` are the lengths from input to output (a single one: what comes in goes out); the affine map number k is
    called V_k, its bias c_k (`symbols`). Raises `ShapeError` for less than two sizes.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> mlp = tg.nn.MLP([3, 8, 2])
    >>> mlp(np.ones((5, 3))).shape, [p.name for p in mlp.parameters()]
    ((5, 2), ['V_1', 'c_1', 'V_2', 'c_2'])
    """

    def __init__(
        self, sizes: Sequence[int], nonlinearity: str | Callable[[Any], Any] = "tanh", final: bool = False,
        symbols: tuple[str, str] = ("V", "c"), dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        if not sizes or min(sizes) < 1:
            raise ShapeError(f"MLP: sizes are {list(sizes)}, but have to run from the input's length to the output's")
        weight, bias = symbols
        self.f, self.final = activation("MLP", nonlinearity), final
        self.layers = [
            Linear(m, n, symbols=(f"{weight}_{k}", f"{bias}_{k}"), dtype=dtype)
            for k, (m, n) in enumerate(pairwise(sizes), start=1)
        ]

    def forward(self, x: Any) -> Any:
        for k, layer in enumerate(self.layers, start=1):
            x = layer(x)
            if self.final or k < len(self.layers):
                x = self.f(x)
        return x
