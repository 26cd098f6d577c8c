"""Values and gradients of torch's recurrent networks, kept as small files so that parity is tested without torch, too.

`python -m tests.reference.make` writes one NAME.npz per system beside this file (made here by torch 2.13.0 and numpy
2.4.6). Each holds plain float64 arrays (labels: int64), named as in the equation files: `W`, `h0` and `x` are given
values, `=h` is an output, `dW` a gradient of the loss. Columns are samples: a sequence has shape (T, rows, B), a state
(rows, B), labels (T, B). The loss is the cross-entropy of `V @ h[t] + b_e`, summed over steps and samples.

The networks are torch.nn's own wherever torch.nn has them. Its two biases act as one sum, except for the GRU's inside
the reset: there both are parameters. torch.nn has no GRU that resets before the product, so that one is written out in
torch's tensor operations. Nothing of this project is imported here, and torch only when a function is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
T, INPUT, HIDDEN, CLASSES, SAMPLES = 5, 3, 4, 5, 3

Arrays = dict[str, np.ndarray]

#: the gates of each system, in torch's order
GATES = {
    "vanilla": [""],
    "lstm": ["_i", "_f", "_g", "_o"],
    "gru": ["_r", "_z", "_n"],
    "gru_reset_after": ["_r", "_z", "_n"],
}
#: what the vanilla network's file calls the output layer's bias, the logits
OUTPUT = {"vanilla": ("c", "o")}


def names_of_output(system: str) -> tuple[str, str]:
    """The output layer's bias and the logits, as the equation file calls them."""
    return OUTPUT.get(system, ("b_e", "e"))


def given(system: str, seed: int) -> Arrays:
    """Random parameters, inputs, labels and initial states, of order one."""
    rng = np.random.default_rng((seed, *system.encode()))

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape)

    values: Arrays = {}
    for gate in GATES[system]:
        values["W" + gate] = normal(HIDDEN, HIDDEN) / np.sqrt(HIDDEN)
        values["U" + gate] = normal(HIDDEN, INPUT) / np.sqrt(INPUT)
        values["b" + gate] = normal(HIDDEN, 1)
        if system == "gru_reset_after":
            values["k" + gate] = normal(HIDDEN, 1)
    bias, _ = names_of_output(system)
    values |= {"V": normal(CLASSES, HIDDEN), bias: normal(CLASSES, 1)}
    values |= {
        "x": normal(T, INPUT, SAMPLES),
        "y": rng.integers(0, CLASSES, (T, SAMPLES)),
        "h0": normal(HIDDEN, SAMPLES),
    }
    if system == "lstm":
        values["c0"] = normal(HIDDEN, SAMPLES)
    return values


def by_torch(system: str, values: Mapping[str, np.ndarray]) -> Arrays:
    """Outputs (`=h`, `=h_n`, `=loss`, ...) and the gradients of the loss with respect to everything given."""
    import torch

    leaves = {k: torch.tensor(v, requires_grad=v.dtype.kind == "f") for k, v in values.items()}
    forward = _reset_before if system == "gru" else _module
    states, last = forward(system, leaves)
    bias, logits = names_of_output(system)
    scores = leaves["V"] @ states + leaves[bias]
    labels = leaves["y"].reshape(-1)
    loss = torch.nn.functional.cross_entropy(scores.transpose(1, 2).reshape(-1, CLASSES), labels, reduction="sum")
    loss.backward()
    outputs = {"h": states, logits: scores, "loss": loss, **last}
    found = {"=" + name: value.detach().numpy().copy() for name, value in outputs.items()}
    return found | {"d" + k: v.grad.numpy().copy() for k, v in leaves.items() if v.requires_grad}


def _module(system: str, leaves: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """torch.nn.RNN, LSTM or GRU with these parameters; gradients reach the leaves through the stacking of the gates."""
    import torch

    kind = {"vanilla": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru_reset_after": torch.nn.GRU}[system]
    module = kind(INPUT, HIDDEN, dtype=torch.float64)

    def stacked(letter: str) -> Any:
        return torch.cat([leaves[letter + gate] for gate in GATES[system]])

    bias = stacked("b").ravel()
    parameters = {
        "weight_ih_l0": stacked("U"),
        "weight_hh_l0": stacked("W"),
        "bias_ih_l0": bias,
        "bias_hh_l0": stacked("k").ravel() if system == "gru_reset_after" else torch.zeros_like(bias),
    }
    state = leaves["h0"].T[None].contiguous()
    start = (state, leaves["c0"].T[None].contiguous()) if system == "lstm" else state
    output, end = torch.func.functional_call(module, parameters, (leaves["x"].transpose(1, 2), start))
    last = {"h_n": end[0][0].T, "c_n": end[1][0].T} if system == "lstm" else {"h_n": end[0].T}
    return output.transpose(1, 2), last


def _reset_before(system: str, v: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    import torch

    h, states = v["h0"], []
    for x in v["x"]:
        z = torch.sigmoid(v["b_z"] + v["W_z"] @ h + v["U_z"] @ x)
        r = torch.sigmoid(v["b_r"] + v["W_r"] @ h + v["U_r"] @ x)
        n = torch.tanh(v["b_n"] + v["W_n"] @ (r * h) + v["U_n"] @ x)
        h = (1 - z) * n + z * h
        states.append(h)
    return torch.stack(states), {"h_n": h}


def load(system: str) -> Arrays:
    """What is kept for a system: the given values and what torch made of them."""
    with np.load(FOLDER / f"{system}.npz", allow_pickle=False) as kept:
        return dict(kept)


def main() -> None:
    for system in GATES:
        values = given(system, seed=0)
        np.savez(FOLDER / f"{system}.npz", allow_pickle=False, **values, **by_torch(system, values))
        print(f"{system}.npz: {(FOLDER / f'{system}.npz').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
