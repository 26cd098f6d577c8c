"""Random derivatives inside of derivatives, through closures over all variables in sight: equal to torch's.

A program is a tree: names, arithmetic, and `("inner", way, name, body, at)`, the derivative of body by a new variable.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[parity]'")

KINDS = ("add", "mul", "sub", "sin", "tanh", "square", "inner", "inner")
WAYS = ("grad", "jvp", "vjp", "hvp")
COUNT = 150


def drawn(rng: random.Random, depth: int, names: list[str]) -> Any:
    if depth == 0 or rng.random() < 0.15:
        return rng.choice(names)
    kind = rng.choice(KINDS)
    if kind == "inner":
        new = f"v{len(names)}"
        return kind, rng.choice(WAYS), new, drawn(rng, depth - 1, [*names, new]), drawn(rng, depth - 1, names)
    return kind, *[drawn(rng, depth - 1, names) for _ in range(2 if kind in ("add", "mul", "sub") else 1)]


def value(tree: Any, at: Mapping[str, Any], inner: Any, functions: Any) -> Any:
    if isinstance(tree, str):
        return at[tree]
    if tree[0] == "inner":
        _, way, new, body, place = tree
        return inner(way, lambda z: value(body, {**at, new: z}, inner, functions), value(place, at, inner, functions))
    a, *b = [value(part, at, inner, functions) for part in tree[1:]]
    plain = {"add": lambda: a + b[0], "mul": lambda: a * b[0], "sub": lambda: a - b[0], "square": lambda: a * a}
    return plain[tree[0]]() if tree[0] in plain else getattr(functions, tree[0])(a)


def ours(way: str, f: Any, x: Any) -> Any:
    if way == "grad":
        return tg.grad(f)(x)
    if way == "hvp":
        return tg.hvp(f, x, 1.0)
    return tg.jvp(f, [x], [1.0])[1] if way == "jvp" else tg.vjp(f, x)[1](1.0)[0]


def torchs(way: str, f: Any, x: Any) -> Any:
    z = 1.0 * (x if x.requires_grad else x.clone().requires_grad_())
    g = slope(f(z), z)
    return slope(g, z) if way == "hvp" else g


def slope(y: Any, z: Any) -> Any:
    found = torch.autograd.grad(y, z, create_graph=True, allow_unused=True)[0] if y.requires_grad else None
    return torch.zeros((), dtype=torch.float64) if found is None else found


@pytest.mark.parametrize("seed", range(3))
def test_random_nested_closures_equal_torch(seed: int) -> None:
    rng = random.Random(seed)
    for number in range(COUNT // 3):
        tree = drawn(rng, 4, ["x", "y"])
        numbers = [rng.uniform(-1.0, 1.0) for _ in range(2)]
        leaves = [torch.tensor(n, dtype=torch.float64, requires_grad=True) for n in numbers]
        y = value(tree, dict(zip("xy", leaves, strict=True)), torchs, torch)
        expected = [slope(y, leaf).item() for leaf in leaves]

        def f(x: Any, y: Any, tree: Any = tree) -> Any:
            return value(tree, {"x": x, "y": y}, ours, np)

        reverse = tg.grad(f, argnums=(0, 1))(*numbers)
        forward = [tg.jvp(f, numbers, direction)[1] for direction in ([1.0, 0.0], [0.0, 1.0])]
        for found in (reverse, forward):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12, err_msg=f"number {number}: {tree}")
