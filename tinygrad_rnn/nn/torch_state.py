"""Weights from and to torch: of a whole network by dotted names, of its RNN, LSTM and GRU with their gates stacked.

torch stacks the gates into one matrix (i, f, g, o and r, z, n) and adds two biases; here each gate has its own matrix
and one bias. Everything else has one name in both. Only names and arrays are exchanged; torch itself is not needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from ..core.errors import GraphError, ShapeError
from ..core.tensor import Tensor
from .cell import Cell
from .cells import GRUCell, LSTMCell, RNNCell
from .layers import TorchLike
from .linear import Sequential
from .lstm_variants import ProjectedLSTMCell
from .module import Module, State, as_arrays, told_apart

#: the letters of the gates behind W_, U_, b_, in torch's order
GATES: dict[type[Cell], tuple[str, ...]] = {
    RNNCell: ("",),
    LSTMCell: ("_i", "_f", "_g", "_o"),
    ProjectedLSTMCell: ("_i", "_f", "_g", "_o"),
    GRUCell: ("_r", "_z", "_n"),
}
#: what takes a new value, and the value
Assignment = tuple[Callable[[Any], None], np.ndarray]


def to_torch(module: Module) -> State:
    """A `state_dict` for that torch module, as arrays: the way back from `load_torch`.

    The first bias is ours, the second 0 where torch adds it. Raises `GraphError` for a layer that torch does not have.

    >>> import tinygrad_rnn as tg
    >>> {key: value.shape for key, value in tg.nn.RNN(3, 4, bias=False).to_torch().items()}
    {'weight_ih_l0': (4, 3), 'weight_hh_l0': (4, 4)}
    """
    found: State = {}
    for place, cell in _cells(module):
        found |= {f"{key}{place}": value for key, value in _stacked_weights(cell).items()}
    for name, part in _parts(module):
        if isinstance(part, Module):
            found |= {f"{name}.{key}": value for key, value in to_torch(part).items()}
        else:
            found[name] = np.array(part.value if isinstance(part, Tensor) else part)
    return found


def load_torch(module: Module, state: Mapping[str, Any], prefix: str = "") -> None:
    """Take over the `state_dict` of a torch module whose parts have the names they have here; torch is not needed.

    Of names that begin with `prefix` what stands behind it, and nothing else. RNN, LSTM, GRU and their cells, of
    the same options, have one bias where torch adds two: they are summed, except for the GRU's inside of the reset,
    where both count. Raises `GraphError` or `ShapeError`, before anything changes, where the state does not fit.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> linear = tg.nn.Linear(2, 1)
    >>> linear.load_torch({"head.weight": [[1.0, 2.0]], "head.bias": [3.0], "body.weight": [0.0]}, prefix="head.")
    >>> linear(np.ones(2)).item()
    6.0
    """
    own, theirs = to_torch(module), as_arrays("load_torch", state)
    given = {key.removeprefix(prefix): value for key, value in theirs.items() if key.startswith(prefix)}
    if own.keys() != given.keys():
        is_layer = isinstance(module, TorchLike)
        whose = f"a torch.nn.{type(module).__name__} of these options" if is_layer else f"this {type(module).__name__}"
        told = f"load_torch: this is not the state of {whose}: {told_apart(own, given)}"
        raise GraphError("; ".join([told, *mends(module, theirs)]))
    for key, value in given.items():
        if value.shape != own[key].shape:
            raise ShapeError(f"load_torch: {prefix}{key} has shape {value.shape}, but has to be {own[key].shape}")
    for assign, value in list(_assignments(module, given)):
        assign(value)


def mends(module: Module, state: Mapping[str, Any]) -> Iterator[str]:
    """By which call the names of a state would fit this module, if by one."""
    try:
        own = to_torch(module)
    except GraphError:  # a layer that torch does not have
        return
    here, there = own.keys(), state.keys()
    if here == there:
        yield "these are torch's names: load_torch(state) takes them"
    # the first of our names tells where it could stand in theirs
    first = min(here, default="")
    for prefix in sorted({key.removesuffix(first) for key in there if key.endswith(first)} - {""}):
        if {f"{prefix}{key}" for key in here} == {key for key in there if key.startswith(prefix)}:
            yield f"under a prefix they fit: load_torch(state, prefix={prefix!r})"
            return
    for name, inside in module.named_modules():
        if name and to_torch(inside).keys() == there:
            part = re.sub(r"\.(\d+)", r"[\1]", f"module.{name}")
            yield f"they are those of a part of it: {part}.load_torch(state)"
            return


Module.load_torch = load_torch  # type: ignore[method-assign, assignment]
Module.to_torch = to_torch  # type: ignore[method-assign, assignment]
Module._torch_mends = mends  # type: ignore[method-assign, assignment]


def _assignments(module: Module, given: Mapping[str, np.ndarray]) -> Iterator[Assignment]:
    for place, cell in _cells(module):
        yield from _unstacked(cell, {key: given[f"{key}{place}"] for key in _stacked_weights(cell)})
    for name, part in _parts(module):
        if isinstance(part, Module):
            inside = {key[len(name) + 1 :]: value for key, value in given.items() if key.startswith(f"{name}.")}
            yield from _assignments(part, inside)
        else:
            yield part.assign if isinstance(part, Tensor) else partial(setattr, module, name), given[name]


def _cells(module: Module) -> list[tuple[str, Cell]]:
    """Each cell whose gates torch stacks, and what torch writes behind the name of its weights."""
    if isinstance(module, TorchLike):
        directions = 1 + module.bidirectional
        return [(f"_l{k // directions}{'_reverse' * (k % directions)}", cell) for k, cell in enumerate(module.cells)]
    return [("", module)] if isinstance(module, Cell) and type(module) in GATES else []


def _parts(module: Module) -> Iterator[tuple[str, Any]]:
    """What stands in a module directly, by torch's name: parameters, modules, buffers; nothing of what is stacked."""
    if _cells(module):
        return
    for name, part in module._parts():
        if isinstance(part, Module) or (part.op is None and part.requires_grad):
            # torch's Sequential has its layers as 0, 1, ...; here they are those of a list
            yield name.removeprefix("layers.") if isinstance(module, Sequential) else name, part
    for name in vars(module).get("_buffers", ()):
        yield name, getattr(module, name)


# -- gates ------------------------------------------------------------------------------------------------------------
def _stacked_weights(cell: Cell) -> State:
    gates = _gates(cell)
    found = {"weight_ih": _stacked(cell, "U", gates), "weight_hh": _stacked(cell, "W", gates)}
    if cell.bias:
        found["bias_ih"] = bias = _stacked(cell, "b", gates)
        found["bias_hh"] = second = np.zeros_like(bias)
        if isinstance(cell, GRUCell):
            second[-cell.hidden_size :] = cell.c_n.value
    if isinstance(cell, ProjectedLSTMCell):
        found["weight_hr"] = np.array(cell.P.value)
    return found


def _unstacked(cell: Cell, given: Mapping[str, np.ndarray]) -> Iterator[Assignment]:
    gates = _gates(cell)

    def split(letter: str, stacked: np.ndarray) -> Iterator[Assignment]:
        for gate, part in zip(gates, np.split(stacked, len(gates)), strict=True):
            yield getattr(cell, letter + gate).assign, part

    yield from split("U", given["weight_ih"])
    yield from split("W", given["weight_hh"])
    if cell.bias:
        first, second = given["bias_ih"], np.array(given["bias_hh"])
        if isinstance(cell, GRUCell):  # inside of the reset the second bias is not a summand of the first
            yield cell.c_n.assign, second[-cell.hidden_size :].copy()
            second[-cell.hidden_size :] = 0.0
        yield from split("b", first + second)
    if isinstance(cell, ProjectedLSTMCell):
        yield cell.P.assign, given["weight_hr"]


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
