"""One LSTM, written once with array operators, run and differentiated by three libraries.

The library is a parameter; the equations are the same lines for all of them: four gates with two products each, as on
the page, or the four gates stacked into one matrix and sliced apart. Nothing is timed here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

GATES = "ifgo"
Arrays = dict[str, np.ndarray]
Gradients = dict[str, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """The numbers of one LSTM: parameters, inputs and first states; rows are samples."""

    parameters: Arrays
    inputs: list[np.ndarray]
    h: np.ndarray
    c: np.ndarray


def problem(hidden: int, batch: int, steps: int, stacked: bool, dtype: str) -> Problem:
    """Random numbers of order one, the same for each layout and each dtype."""
    rng = np.random.default_rng(0)
    shapes = {"W": (hidden, hidden), "U": (hidden, hidden), "b": (hidden,)}
    scale = hidden**-0.5
    parameters = {f"{kind}_{g}": scale * rng.standard_normal(shape) for kind, shape in shapes.items() for g in GATES}
    if stacked:
        parameters = {kind: np.concatenate([parameters[f"{kind}_{g}"] for g in GATES], axis=-1) for kind in shapes}
    inputs = [rng.standard_normal((batch, hidden)).astype(dtype) for _ in range(steps)]
    h, c = (rng.standard_normal((batch, hidden)).astype(dtype) for _ in "hc")
    return Problem({name: value.astype(dtype) for name, value in parameters.items()}, inputs, h, c)


def gates_apart(p: Mapping[str, Any], x: Any, h: Any, sigmoid: Callable, tanh: Callable) -> tuple[Any, ...]:
    """The four gates as they stand on the page."""
    i = sigmoid(x @ p["U_i"] + h @ p["W_i"] + p["b_i"])
    f = sigmoid(x @ p["U_f"] + h @ p["W_f"] + p["b_f"])
    g = tanh(x @ p["U_g"] + h @ p["W_g"] + p["b_g"])
    o = sigmoid(x @ p["U_o"] + h @ p["W_o"] + p["b_o"])
    return i, f, g, o


def gates_stacked(p: Mapping[str, Any], x: Any, h: Any, sigmoid: Callable, tanh: Callable) -> tuple[Any, ...]:
    """The four gates from one product, sliced apart."""
    z = x @ p["U"] + h @ p["W"] + p["b"]
    n = h.shape[-1]
    return sigmoid(z[:, :n]), sigmoid(z[:, n : 2 * n]), tanh(z[:, 2 * n : 3 * n]), sigmoid(z[:, 3 * n :])


def lstm_loss(p: Mapping[str, Any], inputs: Any, h: Any, c: Any, sigmoid: Callable, tanh: Callable) -> Any:
    """Run over the inputs; the loss is the sum of squares of the last state."""
    gates = gates_stacked if "W" in p else gates_apart
    for x in inputs:
        i, f, g, o = gates(p, x, h, sigmoid, tanh)
        c = f * c + i * g
        h = o * tanh(c)
    return (h * h).sum()


def ours(tg: ModuleType, case: Problem) -> Callable[[], Gradients]:
    """Eager tinygrad_rnn: every step recorded with its number, then `backward`."""
    parameters = {name: tg.tensor(value, name=name) for name, value in case.parameters.items()}
    inputs = case.inputs

    def run() -> Gradients:
        numbered = (inputs[t] for t in tg.steps(len(inputs)))
        loss = lstm_loss(parameters, numbered, case.h, case.c, tg.sigmoid, np.tanh)
        for parameter in parameters.values():
            parameter.grad = None
        loss.backward()
        return {name: parameter.grad for name, parameter in parameters.items()}

    return run


def autograds(autograd: ModuleType, case: Problem) -> Callable[[], Gradients]:
    """HIPS/autograd with its wrapped numpy; sigmoid is declared as one primitive, the cheapest way it offers."""
    import autograd.numpy as anp
    from autograd.extend import defvjp, primitive

    sigmoid = primitive(lambda x: 0.5 * (np.tanh(0.5 * x) + 1))
    defvjp(sigmoid, lambda y, x: lambda g: g * y * (1 - y))

    def loss(parameters: Arrays) -> Any:
        return lstm_loss(parameters, case.inputs, case.h, case.c, sigmoid, anp.tanh)

    gradient = autograd.grad(loss)
    return lambda: gradient(case.parameters)


def torchs(torch: ModuleType, case: Problem) -> Callable[[], Gradients]:
    """torch's eager tensor operations on one thread."""
    torch.set_num_threads(1)
    parameters = {name: torch.tensor(value, requires_grad=True) for name, value in case.parameters.items()}
    inputs = [torch.tensor(x) for x in case.inputs]
    h, c = torch.tensor(case.h), torch.tensor(case.c)
    leaves = list(parameters.values())

    def run() -> Gradients:
        loss = lstm_loss(parameters, inputs, h, c, torch.sigmoid, torch.tanh)
        gradients = torch.autograd.grad(loss, leaves)
        return {name: value.numpy() for name, value in zip(parameters, gradients, strict=True)}

    return run


RUNNERS: dict[str, Callable[[ModuleType, Problem], Callable[[], Gradients]]] = {
    "tinygrad_rnn": ours,
    "autograd": autograds,
    "torch": torchs,
}
