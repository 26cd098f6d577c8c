"""Values and gradients of torch's RNN, LSTM and GRU in every option they have, kept so that parity is tested without
torch, too.

`python -m tests.reference.make_layers` writes layers.npz beside this file (made here by torch 2.13.0 and numpy 2.4.6).
A case is a kind of layer and its options. Parameters, inputs and initial states are drawn from the case's name, so they
are not kept; kept is what torch answered: output, last states, and the gradients of a weighted sum of them with respect
to everything given, each told by its projection on a fixed random direction. Nothing of this project
is imported here, and torch only when a function is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "layers.npz"
T, BATCH, INPUT, HIDDEN = 5, 3, 2, 4
LENGTHS = (3, 5, 1)

Arrays = dict[str, np.ndarray]
Options = dict[str, Any]

KINDS: dict[str, tuple[str, Options]] = {
    "tanh": ("RNN", {"nonlinearity": "tanh"}),
    "relu": ("RNN", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", {}),
    "proj": ("LSTM", {"proj_size": 3}),
    "gru": ("GRU", {}),
}
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
#: how a call differs: what is passed beside the input
CALLS = ("plain", "state", "unbatched", "unbatched state", "lengths", "lengths state")


@cache
def cases() -> dict[str, tuple[str, Options, str]]:
    """name -> (torch's class, its options, how it is called); 1 to 3 layers, b: bias, f: batch first, 2: directions."""
    found: dict[str, tuple[str, Options, str]] = {}
    yes_or_no = (True, False)
    for kind, layers, b, f, two, call in product(KINDS, (1, 2, 3), yes_or_no, yes_or_no, yes_or_no, CALLS):
        name, fixed = KINDS[kind]
        options = fixed | {"num_layers": layers, "bias": b, "batch_first": f, "bidirectional": two}
        found[f"{kind} {layers}{'b' * b}{'f' * f}{'2' * two} {call}"] = (name, options, call)
    return found


def given(case: str) -> tuple[Arrays, Arrays]:
    """Parameters, by torch's names; and the input (time first, then samples) with the initial states."""
    name, options, call = cases()[case]
    rng = np.random.default_rng([9, *case.encode()])
    projected = options.get("proj_size", 0)
    size, directions = projected or HIDDEN, 1 + options["bidirectional"]
    parameters: Arrays = {}
    for layer in range(options["num_layers"]):
        for suffix in [f"l{layer}", f"l{layer}_reverse"][:directions]:
            width = INPUT if not layer else size * directions
            rows = GATES[name] * HIDDEN
            parameters[f"weight_ih_{suffix}"] = rng.standard_normal((rows, width)) / np.sqrt(width)
            parameters[f"weight_hh_{suffix}"] = rng.standard_normal((rows, size)) / np.sqrt(size)
            if options["bias"]:
                parameters[f"bias_ih_{suffix}"] = rng.standard_normal(rows)
                parameters[f"bias_hh_{suffix}"] = rng.standard_normal(rows)
            if projected:
                parameters[f"weight_hr_{suffix}"] = rng.standard_normal((size, HIDDEN)) / np.sqrt(HIDDEN)
    single = call.startswith("unbatched")
    rows = () if single else (BATCH,)
    data = {"input": rng.standard_normal((T, *rows, INPUT))}
    if options["batch_first"] and not single:
        data["input"] = data["input"].swapaxes(0, 1).copy()
    if call.endswith("state"):
        cells = options["num_layers"] * directions
        data["h_0"] = rng.standard_normal((cells, *rows, size))
        if name == "LSTM":
            data["c_0"] = rng.standard_normal((cells, *rows, HIDDEN))
    return parameters, data


def weights(case: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """What an output is multiplied with in the loss."""
    return np.random.default_rng([3, *case.encode(), *name.encode()]).standard_normal(shape)


def by_torch(case: str) -> Arrays:
    """Outputs (`output`, `h_n`, `c_n`) and the gradients of their weighted sum, as `dNAME`."""
    import torch

    name, options, call = cases()[case]
    parameters, data = given(case)
    module = getattr(torch.nn, name)(INPUT, HIDDEN, **options, dtype=torch.float64)
    module.load_state_dict({key: torch.tensor(value) for key, value in parameters.items()})
    leaves = {key: torch.tensor(value, requires_grad=True) for key, value in data.items()}
    state = tuple(leaves[key] for key in ("h_0", "c_0") if key in leaves)
    x = leaves["input"]
    if call.startswith("lengths"):
        x = torch.nn.utils.rnn.pack_padded_sequence(
            x, torch.tensor(LENGTHS), batch_first=options["batch_first"], enforce_sorted=False
        )
    output, last = module(x, (state if name == "LSTM" else state[0]) if state else None)
    if call.startswith("lengths"):
        output, _ = torch.nn.utils.rnn.pad_packed_sequence(output, batch_first=options["batch_first"])
    last = last if isinstance(last, tuple) else (last,)
    outputs = {"output": output, **dict(zip(("h_n", "c_n"), last, strict=False))}
    loss = sum(torch.sum(torch.tensor(weights(case, key, tuple(y.shape))) * y) for key, y in outputs.items())
    loss.backward()
    found = {key: y.detach().numpy() for key, y in outputs.items()}
    found |= {f"d{key}": leaf.grad.numpy() for key, leaf in leaves.items()}
    return found | {f"d{key}": p.grad.numpy() for key, p in module.named_parameters()}


def digest(answers: Mapping[str, np.ndarray]) -> np.ndarray:
    """One number for each array, in the order of their names: the kept form."""
    directions = {name: np.random.default_rng([5, *name.encode()]) for name in sorted(answers)}
    return np.array(
        [np.sum(rng.standard_normal(answers[name].shape) * answers[name]) for name, rng in directions.items()]
    )


def load() -> Arrays:
    """For each case the digest of what torch answered."""
    with np.load(FILE, allow_pickle=False) as kept:
        flat, ends = kept["digests"], kept["ends"]
    return dict(zip(cases(), np.split(flat, ends[:-1]), strict=True))


def main() -> None:
    digests = [digest(by_torch(case)) for case in cases()]
    np.savez_compressed(
        FILE, allow_pickle=False, digests=np.concatenate(digests), ends=np.cumsum([len(d) for d in digests])
    )
    print(f"{FILE.name}: {len(digests)} cases, {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
