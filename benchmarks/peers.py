"""Who takes part in `speed`: one function per contestant, from a problem to a call that runs one training step.

A contestant prepares whatever it likes before the clock runs, its favourite layout included. `read` brings what its
call returns into the form of `networks.Problem`, so that all of them can be compared before they are timed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from benchmarks import handtuned, written
from benchmarks.networks import CELLS, GATES, Arrays, Ops, Problem, loss

Result = tuple[float, Arrays]


@dataclass(frozen=True)
class Contestant:
    """`run` is what is timed; `read` turns what it returned into the loss and its gradients."""

    run: Callable[[], Any]
    read: Callable[[Any], Result]


class Unavailable(Exception):
    """Why a contestant does not take part in a race."""


def tuned(case: Problem, layout: str) -> Contestant:
    """Hand-tuned numpy in one of its layouts."""
    run = handtuned.CELLS[case.cell](case, layout)
    return Contestant(run, lambda result: (result[0], run.canonical(result[1])))


def ours(case: Problem, transform: Callable[[Any], Any] = lambda f: f) -> Contestant:
    """tinygrad_rnn: gates apart, as on the page; `transform` may compile the function of value and gradients."""
    differentiate, leaves = transform(tg.value_and_grad(written.LOSSES[case.cell])), written.parameters(case)
    return Contestant(
        lambda: differentiate(leaves, case.x, case.weights),
        lambda result: (float(result[0]), written.stacked(case, result[1])),
    )


def compiled(case: Problem, executor: str, **options: Any) -> Contestant:
    """The same lines, compiled; `options` are those of tg.compile."""
    if not hasattr(tg, "compile"):
        raise Unavailable("tg.compile does not exist yet")
    if executor == "jit":
        _module("numba")
    return ours(case, lambda f: tg.compile(f, executor=executor, **options))


def torch_layers(case: Problem) -> Contestant:
    """torch.nn.RNN, LSTM and GRU. Of their two biases the second is 0, but for the one inside of the GRU's reset."""
    torch = _module("torch")
    size, p, H = case.size, case.parameters, case.size.H
    layer = getattr(torch.nn, case.cell)(size.D, H, dtype=getattr(torch, case.dtype.name))
    inner = np.zeros(len(GATES[case.cell]) * H, case.dtype)
    if "c" in p:
        inner[2 * H :] = p["c"]
    own = {"weight_hh_l0": p["W"].T, "weight_ih_l0": p["U"].T, "bias_ih_l0": p["b"], "bias_hh_l0": inner}
    layer.load_state_dict({name: torch.tensor(value) for name, value in own.items()})
    x, weights = torch.tensor(case.x), torch.tensor(case.weights)
    states = [torch.tensor(s[None], requires_grad=True) for s in case.states.values()]
    leaves = [*layer.parameters(), *states]

    def run() -> Any:
        outputs, _ = layer(x, tuple(states) if len(states) > 1 else states[0])
        value = (outputs * weights).sum()
        return value, torch.autograd.grad(value, leaves)

    def read(result: Any) -> Result:
        U, W, b, inner, *ends = (gradient.numpy() for gradient in result[1])
        gradients = {"W": W.T, "U": U.T, "b": b} | ({"c": inner[2 * H :]} if "c" in p else {})
        return result[0].item(), gradients | {name: g[0] for name, g in zip(case.states, ends, strict=True)}

    return Contestant(run, read)


def torch_cells(case: Problem, transform: Callable[[Any], Any] | None = None) -> Contestant:
    """The equations of `networks` in torch, one operation at a time, or through `transform`."""
    torch = _module("torch")
    ops = Ops(torch.tanh, torch.sigmoid, torch.stack)
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in _leaves(case).items()}
    x, weights = torch.tensor(case.x), torch.tensor(case.weights)

    def forward(p: Mapping[str, Any]) -> Any:
        return loss(case.cell, p, ops, x.unbind(), weights, *(p[name] for name in case.states))

    forward = transform(forward) if transform else forward

    def run() -> Any:
        value = forward(leaves)
        return value, torch.autograd.grad(value, list(leaves.values()))

    def read(result: Any) -> Result:
        return result[0].item(), {name: g.numpy() for name, g in zip(leaves, result[1], strict=True)}

    return Contestant(run, read)


#: torch.compile unrolls the sequence: it compiles for long, and again for each other length
UNROLLED = 25


def torch_compiled(case: Problem) -> Contestant:
    """torch.compile of the same lines."""
    torch = _module("torch")
    if case.size.T > UNROLLED:
        raise Unavailable(f"unrolls the sequence: left out for T > {UNROLLED}")
    torch.compiler.reset()  # or it counts how often these lines were compiled before, and gives up
    return torch_cells(case, lambda f: torch.compile(f, fullgraph=True))


def jax_scan(case: Problem) -> Contestant:
    """jax.jit over lax.scan, gates stacked, the inputs' products taken before the scan."""
    jax = _module("jax")
    from jax import lax
    from jax import numpy as jnp

    jax.config.update("jax_enable_x64", case.dtype == np.float64)
    ops = Ops(jnp.tanh, jax.nn.sigmoid, jnp.stack)
    leaves = {name: jnp.asarray(value) for name, value in _leaves(case).items()}
    x, weights = jnp.asarray(case.x), jnp.asarray(case.weights)

    def total(p: Mapping[str, Any]) -> Any:
        def step(states: Any, a: Any) -> Any:
            states = CELLS[case.cell](p, ops, a, *states)
            return states, states[0]

        _, outputs = lax.scan(step, tuple(p[name] for name in case.states), x @ p["U"] + p["b"])
        return (outputs * weights).sum()

    differentiate = jax.jit(jax.value_and_grad(total))
    return Contestant(
        lambda: jax.block_until_ready(differentiate(leaves)),
        lambda result: (float(result[0]), {name: np.asarray(g) for name, g in result[1].items()}),
    )


def hips_autograd(case: Problem) -> Contestant:
    """HIPS/autograd; sigmoid is declared as one primitive, the cheapest way it offers."""
    autograd = _module("autograd")
    from autograd import numpy as anp
    from autograd.extend import defvjp, primitive

    sigmoid = primitive(lambda a: 0.5 * (np.tanh(0.5 * a) + 1))
    defvjp(sigmoid, lambda y, a: lambda g: g * y * (1 - y))
    ops = Ops(anp.tanh, sigmoid, anp.stack)

    def total(p: Mapping[str, Any]) -> Any:
        return loss(case.cell, p, ops, case.x, case.weights, *(p[name] for name in case.states))

    differentiate, leaves = autograd.value_and_grad(total), _leaves(case)
    return Contestant(lambda: differentiate(leaves), lambda result: (float(result[0]), result[1]))


def mygrad(case: Problem) -> Contestant:
    """MyGrad with its own sigmoid."""
    mg = _module("mygrad")
    from mygrad.nnet.activations import sigmoid

    ops = Ops(mg.tanh, sigmoid, mg.stack)
    leaves = {name: mg.tensor(value) for name, value in _leaves(case).items()}

    def run() -> Any:
        value = loss(case.cell, leaves, ops, case.x, case.weights, *(leaves[name] for name in case.states))
        value.backward()
        return value

    return Contestant(run, lambda value: (value.item(), {name: leaf.grad for name, leaf in leaves.items()}))


#: everybody, in the order of the table's columns
CONTESTANTS: dict[str, Callable[[Problem], Contestant]] = {
    "compiled, numpy": lambda case: compiled(case, "numpy"),
    "compiled, jit": lambda case: compiled(case, "jit"),
    "eager": ours,
    "hand-tuned, rows": lambda case: tuned(case, "rows"),
    "hand-tuned, columns": lambda case: tuned(case, "columns"),
    "torch.nn": torch_layers,
    "torch cells": torch_cells,
    "torch.compile": torch_compiled,
    "jax.jit(scan)": jax_scan,
    "HIPS/autograd": hips_autograd,
    "MyGrad": mygrad,
}


def _leaves(case: Problem) -> Arrays:
    return case.parameters | case.states


def _module(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise Unavailable(f"{name} is not installed") from None
