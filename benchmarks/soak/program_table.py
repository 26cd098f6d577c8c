"""numpy's differentiable functions, and a few of the package's own: arguments to draw, and the same in torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from benchmarks.soak import program_torch as other
from benchmarks.soak.program_draws import Draw
from benchmarks.soak.program_torch import linear, reduction

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Function(NamedTuple):
    """`name` as it is written, `draw` its arguments, `torch` the same on torch's tensors (a name: torch's own)."""

    name: str
    draw: Callable[[Draw], Arguments]
    torch: Any


def own(name: str) -> Any:
    """numpy's function of this name."""
    found: Any = np
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    return found


def _one(choose: Callable[[Draw], Any]) -> Callable[[Draw], Arguments]:
    return lambda d: ((choose(d),), {})


def torch_function(name: str) -> Callable[..., Any]:
    def call(*args: Any, **keywords: Any) -> Any:
        import torch

        found: Any = torch
        for part in name.split("."):
            found = getattr(found, part)
        first = next((a for a in args if isinstance(a, torch.Tensor)), None)
        if first is not None and not keywords:
            args = tuple(torch.as_tensor(a, dtype=torch.float64) for a in args)
        return found(*args, **keywords)

    return call


def _any(d: Draw) -> Any:
    return d.any()


def _unary() -> list[Function]:
    smooth = [
        "sin",
        "cos",
        "tanh",
        "arctan",
        "arcsinh",
        "square",
        "negative",
        "sign",
        "positive",
        "conj",
        "nan_to_num",
        "sinc",
        "rad2deg",
        "deg2rad",
        "abs",
        "absolute",
        "fabs",
        "atan",
        "asinh",
        "conjugate",
        "real",
        "degrees",
        "radians",
    ]
    renamed = {"rad2deg": "rad2deg", "degrees": "rad2deg", "radians": "deg2rad", "fabs": "abs", "conj": "clone"}
    renamed |= {"conjugate": "clone", "real": "clone"}
    table = [Function(f"np.{n}", _one(_any), torch_function(renamed.get(n, n))) for n in smooth]
    for largest, names in {
        3.0: "exp expm1 sinh cosh exp2",
        1.2: "tan",
        0.9: "arcsin arccos arctanh asin acos atanh",
    }.items():
        table += [
            Function(f"np.{n}", _one(lambda d, b=largest: d.bounded(b)), torch_function(n)) for n in names.split()
        ]
    for name in ["log", "log2", "log10", "log1p", "sqrt", "reciprocal"]:
        table.append(Function(f"np.{name}", _one(Draw.positive), torch_function(name)))
    table.append(Function("np.cbrt", _one(Draw.positive), lambda x: x ** (1 / 3)))
    table.append(
        Function("np.arccosh", _one(lambda d: d.emit("np.add", (d.positive(), 1.0))), torch_function("arccosh"))
    )
    for name in ["sigmoid", "softplus", "relu"]:
        table.append(
            Function(f"tg.{name}", _one(_any), torch_function("nn.functional.softplus" if name == "softplus" else name))
        )
    table.append(Function("tg.stop", _one(_any), lambda x: x.detach()))
    return table


def _power(d: Draw) -> Arguments:
    if d.rng.random() < 0.6:
        whole = d.rng.choice((0, 1, 2, 3, 2.0, 3.0, np.int64(2), np.float64(3.0)))
        return (d.bounded(3.0), whole), {}
    if d.rng.random() < 0.5:
        return (d.positive(), d.rng.choice((0.5, -1, -0.5, 1.5, -2))), {}
    return (d.positive(), d.bounded(2.0)), {}


def _exponents(d: Draw) -> Arguments:
    base = d.array()
    return (base, np.array([d.rng.choice((0.0, 1.0, 2.0, 3.0)) for _ in range(d.of(base).shape[-1])])), {}


def _divided(d: Draw) -> Arguments:
    first, second = d.pair()
    if isinstance(second, (int, float)):
        return (first, second), {}
    return (first, d.positive_of(second)), {}


def _beside(d: Draw) -> Arguments:
    """As divided, but by nothing below 0: there the angle jumps between 0.0 and -0.0, which are one number."""
    (first, second), _ = _divided(d)
    return (first, abs(second) if isinstance(second, (int, float)) else second), {}


def _binary() -> list[Function]:
    table = []
    names = "add subtract multiply maximum minimum fmax fmin logaddexp logaddexp2"
    for name in names.split(" "):
        table.append(Function(f"np.{name}", lambda d: (d.pair(), {}), torch_function(name)))
    for name in ("hypot", "arctan2", "atan2"):  # neither has a derivative at 0, 0
        table.append(Function(f"np.{name}", _beside, torch_function(name.replace("atan2", "arctan2"))))
    table.append(Function("tg.logaddexp", lambda d: (d.pair(), {}), torch_function("logaddexp")))
    for sign in "+-*":
        table.append(Function(sign, lambda d: (d.pair(), {}), OPERATORS[sign]))
    for name in ("/", "np.divide", "np.true_divide"):
        table.append(Function(name, _divided, OPERATORS["/"]))
    for name in ("np.mod", "np.remainder", "%"):
        table.append(Function(name, _divided, torch_function("remainder")))
    for name in ("**", "np.power", "np.float_power"):
        table.append(Function(name, _power, torch_function("pow")))
    table.append(Function("np.power", _exponents, lambda x, e: x ** other._torch().from_numpy(e)))
    return table


def _reduce(least: int = 0, **keywords: tuple[Any, ...]) -> Callable[[Draw], Arguments]:
    def draw(d: Draw) -> Arguments:
        x = d.array(least) if not least else d.filled(least)
        axis = d.axis(x)
        given = d.options(keepdims=(True, False), **keywords)
        if d.rng.random() < 0.3 and axis is not None:
            return (x, axis), given
        return (x,), given | ({} if axis is None and d.rng.random() < 0.5 else {"axis": axis})

    return draw


def _single(least: int = 1, **keywords: tuple[Any, ...]) -> Callable[[Draw], Arguments]:
    """One axis, not None."""

    def draw(d: Draw) -> Arguments:
        x = d.filled(least)
        return (x,), d.options(**keywords) | {"axis": d.axis(x, none=False, several=False)}

    return draw


def _where_sum(d: Draw) -> Arguments:
    x = d.filled(1)
    mask = np.array([d.rng.random() < 0.7 for _ in range(d.of(x).size)], dtype=bool).reshape(d.of(x).shape)
    return (x,), {"where": mask, "axis": d.axis(x)} | d.options(keepdims=(True,))


def _logsumexp(x: Any) -> Any:
    return other._torch().logsumexp(x, -1)


def _softmaxes(name: str) -> Callable[..., Any]:
    return lambda x, axis=-1: getattr(other._torch(), name)(x, dim=axis)


def _reductions() -> list[Function]:
    torch = other._torch
    table = []
    for name in ("np.sum", "np.mean", "np.nansum", "np.nanmean", ".sum", ".mean"):
        table.append(Function(name, _reduce(), reduction(lambda x, m="sum" in name: x.sum(-1) if m else x.mean(-1))))
    for name in ("np.prod", ".prod"):
        table.append(Function(name, _reduce(), reduction(lambda x: x.prod(-1))))
    table += [Function("np.sum", _where_sum, linear(np.sum)), Function("np.mean", _where_sum, linear(np.mean))]
    table.append(
        Function("np.sum", _reduce(initial=(0.0, 2.0, -1)), reduction(lambda x, initial=0: x.sum(-1) + initial))
    )
    table.append(Function("np.prod", _reduce(initial=(1, 2.0)), reduction(lambda x, initial=1: x.prod(-1) * initial)))
    for most, least in (("np.max", "np.min"), ("np.amax", "np.amin"), (".max", ".min")):
        table.append(Function(most, _reduce(1), reduction(lambda x: x.amax(-1))))
        table.append(Function(least, _reduce(1), reduction(lambda x: x.amin(-1))))
    table.append(Function("np.max", _reduce(1, initial=(0.3, -9.0)), reduction(_most)))
    table.append(Function("np.ptp", _reduce(1), reduction(lambda x: x.amax(-1) - x.amin(-1))))
    spread = {"ddof": (0, 1, 0.5)}
    for name in ("np.var", ".var"):
        table.append(Function(name, _reduce(1, **spread), reduction(other.variance)))
    for name in ("np.std", ".std"):
        table.append(
            Function(name, _reduce(1, **spread), reduction(lambda x, **k: torch().sqrt(other.variance(x, **k))))
        )
    table.append(Function("np.var", _reduce(1, correction=(0, 1)), reduction(other.variance)))
    table.append(Function("np.median", _reduce(1), reduction(other.median)))
    table.append(Function("np.quantile", _quantile, _torch_quantile))
    table.append(Function("tg.logsumexp", _reduce(1), reduction(_logsumexp)))
    for name in ("softmax", "log_softmax"):
        table.append(Function(f"tg.{name}", _single(), _softmaxes(name)))
    return table + _norms()


def _most(x: Any, initial: float | None = None) -> Any:
    most = x.amax(-1)
    return most if initial is None else most.clamp(min=initial)


def _quantile(d: Draw) -> Arguments:
    x = d.filled(1)
    return (x, d.rng.choice((0.0, 0.25, 0.4, 1.0))), {"axis": d.axis(x, several=False)}


def _torch_quantile(x: Any, q: float, axis: Any = None) -> Any:
    return other._torch().quantile(other.flattened(x, axis), q, dim=-1)


def _norm(d: Draw) -> Arguments:
    x = d.any(lambda v: v.size and v.ndim in (1, 2))
    axis = d.rng.choice((None, d.axis(x, none=False, several=False)))
    alone = axis is None and d.of(x).ndim == 2
    order = d.rng.choice((None, "fro")) if alone else d.rng.choice((None, 1, 2, np.inf, -np.inf, 3))
    return (x,), {"axis": axis} | ({} if order is None else {"ord": order}) | d.options(keepdims=(True, False))


def _norms() -> list[Function]:
    vector = _reduce(1, ord=(1, 2, np.inf, 3, 2.5))
    return [
        Function("np.linalg.norm", _norm, other.norm),
        Function("tg.norm", lambda d: ((d.filled(0),), {}), other.norm),
        Function("np.linalg.vector_norm", vector, other.norm),
        Function("np.linalg.matrix_norm", lambda d: ((d.matrix(),), d.options(keepdims=(True,))), _matrix_norm),
    ]


def _matrix_norm(x: Any, keepdims: bool = False) -> Any:
    return other.norm(x, axis=(-2, -1), keepdims=keepdims)


def _cumulative() -> list[Function]:
    torch = other._torch

    def along(function: str) -> Callable[..., Any]:
        def call(x: Any, axis: Any = None) -> Any:
            return getattr(torch(), function)(x.reshape(-1) if axis is None else x, dim=0 if axis is None else axis)

        return call

    def draw(d: Draw) -> Arguments:
        x = d.filled(1)
        return (x,), {"axis": d.axis(x, several=False)}

    return [
        Function("np.cumsum", draw, along("cumsum")),
        Function(".cumsum", draw, along("cumsum")),
        Function("np.cumprod", draw, along("cumprod")),
        Function("np.diff", _single(n=(1, 2, 0)), linear(np.diff)),
        Function("np.trapezoid", _single(dx=(0.5, 2.0)), linear(np.trapezoid)),
        Function("np.gradient", _spaced, linear(np.gradient)),
        Function("np.sort", _single(), lambda x, axis: torch().sort(x, dim=axis).values),
        Function("np.ediff1d", lambda d: ((d.filled(1),), {}), linear(np.ediff1d)),
        Function("np.average", _averaged, linear(np.average)),
        Function("np.cumulative_sum", _running, linear(np.cumulative_sum)),
    ]  # fmt: skip


def _running(d: Draw) -> Arguments:
    return (d.any(lambda v: v.ndim == 1 and v.size),), d.options(include_initial=(True,))


def _spaced(d: Draw) -> Arguments:
    x = d.any(lambda v: v.ndim == 1 and len(v) >= 2)
    return (x, *d.rng.choice(((), (0.5,)))), {}


def _averaged(d: Draw) -> Arguments:
    x = d.filled(1)
    axis = d.axis(x, none=False, several=False)
    return (x,), {"axis": axis, "weights": np.array([d.rng.uniform(0.5, 2) for _ in range(d.of(x).shape[axis])])}


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "%": lambda a, b: a % b,
    "@": lambda a, b: a @ b,
}


@cache
def functions() -> list[Function]:
    """The whole table."""
    from benchmarks.soak.program_moves import moves
    from benchmarks.soak.program_products import products

    return [*_unary(), *_binary(), *_reductions(), *_cumulative(), *products(), *moves()]
