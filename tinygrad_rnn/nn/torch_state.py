"""Weights from and to torch's RNN, LSTM and GRU.

torch stacks the gates into one matrix (i, f, g, o and r, z, n) and adds two biases; here each gate has its own matrix
and one bias. Only names and arrays are exchanged; torch itself is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import GraphError, ShapeError
from ..core.tensor import Tensor
from .cell import Cell
from .cells import GRUCell, LSTMCell, RNNCell
from .lstm_variants import ProjectedLSTMCell
from .module import State

if TYPE_CHECKING:
    from .recurrent import Recurrent

#: the letters of the gates behind W_, U_, b_, in torch's order
GATES: dict[type[Cell], tuple[str, ...]] = {
    RNNCell: ("",),
    LSTMCell: ("_i", "_f", "_g", "_o"),
    ProjectedLSTMCell: ("_i", "_f", "_g", "_o"),
    GRUCell: ("_r", "_z", "_n"),
}


def dump(layer: Recurrent) -> State:
    """What torch's layer would call the weights of this one: the first bias is ours, the second 0 where it adds."""
    found: State = {}
    for place, cell in _places(layer):
        gates = _gates(cell)
        found[f"weight_ih{place}"] = _stacked(cell, "U", gates)
        found[f"weight_hh{place}"] = _stacked(cell, "W", gates)
        if cell.bias:
            found[f"bias_ih{place}"] = bias = _stacked(cell, "b", gates)
            second = np.zeros_like(bias)
            if isinstance(cell, GRUCell):
                second[-cell.hidden_size :] = cell.c_n.value
            found[f"bias_hh{place}"] = second
        if isinstance(cell, ProjectedLSTMCell):
            found[f"weight_hr{place}"] = np.array(cell.P.value)
    return found


def load(layer: Recurrent, state: Mapping[str, Any]) -> None:
    """Take over torch's weights; see `TorchLike.load_torch`."""
    own = dump(layer)
    given = {
        key: np.asarray(value.detach().cpu() if hasattr(value, "detach") else value) for key, value in state.items()
    }
    missing, unknown = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    if missing or unknown:
        told = "; ".join(
            f"{what} {', '.join(keys)}" for what, keys in (("missing", missing), ("unknown", unknown)) if keys
        )
        raise GraphError(
            f"load_torch: this is not the state of a torch.nn.{type(layer).__name__} of these options: {told}"
        )
    for key, value in given.items():
        if value.shape != own[key].shape:
            raise ShapeError(f"load_torch: {key} has shape {value.shape}, but has to be {own[key].shape}")
    for place, cell in _places(layer):
        for leaf, value in _assignments(cell, place, given):
            leaf.assign(value)


def _assignments(cell: Cell, place: str, given: Mapping[str, np.ndarray]) -> list[tuple[Tensor, np.ndarray]]:
    gates = _gates(cell)
    found: list[tuple[Tensor, np.ndarray]] = []

    def split(letter: str, stacked: np.ndarray) -> None:
        parts = np.split(stacked, len(gates))
        found.extend((getattr(cell, letter + gate), part) for gate, part in zip(gates, parts, strict=True))

    split("U", given[f"weight_ih{place}"])
    split("W", given[f"weight_hh{place}"])
    if cell.bias:
        first, second = given[f"bias_ih{place}"], np.array(given[f"bias_hh{place}"])
        if isinstance(cell, GRUCell):  # inside of the reset the second bias is not a summand of the first
            found.append((cell.c_n, second[-cell.hidden_size :].copy()))
            second[-cell.hidden_size :] = 0.0
        split("b", first + second)
    if isinstance(cell, ProjectedLSTMCell):
        found.append((cell.P, given[f"weight_hr{place}"]))
    return found


def _stacked(cell: Cell, letter: str, gates: tuple[str, ...]) -> np.ndarray:
    return np.concatenate([getattr(cell, letter + gate).value for gate in gates])


def _gates(cell: Cell) -> tuple[str, ...]:
    told = None
    if type(cell) not in GATES:
        told = type(cell).__name__
    elif isinstance(cell, GRUCell) and not (cell.reset_after and cell.z_keeps):
        told = f"GRU with reset_after={cell.reset_after}, z_keeps={cell.z_keeps}"
    if told:
        raise GraphError(f"torch has no {told}: its layers are RNN, LSTM (also with proj_size) and GRU (reset after)")
    return GATES[type(cell)]


def _places(layer: Recurrent) -> list[tuple[str, Cell]]:
    """Each cell, and what torch writes behind the name of its weights."""
    directions = 1 + layer.bidirectional
    return [(f"_l{k // directions}{'_reverse' * (k % directions)}", cell) for k, cell in enumerate(layer.cells)]
