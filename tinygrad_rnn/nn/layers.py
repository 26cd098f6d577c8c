"""RNN, LSTM and GRU with torch's arguments, defaults and return values, and with what its users ask for beside them.

Which cell an option means is said here; the formulas stand in the modules of the cells, the way along a sequence in
`recurrent`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from inspect import signature
from typing import Any, TypedDict, Unpack

import numpy as np

from ..core.errors import GraphError
from .cell import Cell
from .cells import GRUCell, LSTMCell, RNNCell
from .lstm_variants import (
    ConcatenatedLSTMCell,
    CoupledLSTMCell,
    CoupledPeepholeLSTMCell,
    FullPeepholeLSTMCell,
    NoForgetLSTMCell,
    PeepholeLSTMCell,
    ProjectedLSTMCell,
)
from .normalized import LayerNormGRUCell, LayerNormLSTMCell, LayerNormRNNCell
from .recurrent import Recurrent


class Noise(TypedDict, total=False):
    """What every layer takes beside torch's arguments; see `Recurrent`."""

    variational_dropout: float
    zoneout: float | tuple[float, ...]
    label: str


class TorchLike(Recurrent):
    """What RNN, LSTM and GRU share: they are torch's layers of the same name, and exchange weights with them."""

    def __init__(
        self, cell: Callable[[int], Cell], input_size: int, num_layers: int, batch_first: bool, dropout: float,
        bidirectional: bool, **noise: Any,
    ) -> None:  # fmt: skip
        for option in sorted(noise.keys() - Noise.__annotations__.keys()):
            raise TypeError(_unknown(type(self), option))
        super().__init__(cell, input_size, num_layers, batch_first, dropout, bidirectional, **noise)


def _unknown(layer: type, option: str) -> str:
    """That there is no such option, and which was meant."""
    there = [*signature(layer).parameters, *Noise.__annotations__]
    there.remove("noise")
    likely = get_close_matches(option, there, n=1)
    hint = f"did you mean {likely[0]}?" if likely else f"there are {', '.join(there)}"
    return f"{layer.__name__} has no option {option}: {hint}"


class RNN(TorchLike):
    """torch's RNN: h[t] = f(b + W h[t-1] + U x[t]), f being tanh or relu (document 004, section 2.2).

    `layer_norm` normalises what stands inside f. See `Recurrent` for shapes and for what all layers take.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, h = tg.nn.RNN(3, 4, num_layers=2)(np.ones((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 4), (2, 2, 4))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, *, layer_norm: bool = False,
        dtype: Any = np.float64, **noise: Unpack[Noise],
    ) -> None:  # fmt: skip
        self.hidden_size, self.bias = hidden_size, bias
        kind = LayerNormRNNCell if layer_norm else RNNCell
        super().__init__(
            lambda n: kind(n, hidden_size, bias, nonlinearity, dtype=dtype),
            input_size, num_layers, batch_first, dropout, bidirectional, **noise,
        )  # fmt: skip


class LSTM(TorchLike):
    """torch's LSTM (document 002, part 2; document 004, section 7.1), and its variants.

    `forget_bias` is what b_f starts at; `proj_size` as in torch. `peephole` lets the gates see the cell: True or
    "diagonal" through a vector for each gate, "full" through matrices; `coupled` puts 1 - f for i; `forget_gate=False`
    is the network of 1997; `concatenated` has one matrix for [h, x] per gate; `layer_norm` normalises what stands
    inside the gates, and c. See `Recurrent` for shapes and for what all layers take.

    `peephole=True` and `coupled=True` go together; any other two at once raise `GraphError`: they need a formula of
    their own, given to `Recurrent`.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, (h, c) = tg.nn.LSTM(3, 4, peephole=True)(np.ones((5, 2, 3)))
    >>> output.shape, h.shape, c.shape
    ((5, 2, 4), (1, 2, 4), (1, 2, 4))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, *, forget_bias: float | None = None,
        peephole: bool | str = False, coupled: bool = False, forget_gate: bool = True, concatenated: bool = False,
        layer_norm: bool = False, dtype: Any = np.float64, **noise: Unpack[Noise],
    ) -> None:  # fmt: skip
        self.hidden_size, self.bias, self.proj_size = hidden_size, bias, proj_size
        kind = _lstm_cell(
            {
                f"proj_size={proj_size}": ProjectedLSTMCell if proj_size else None,
                f"peephole={peephole!r}": _peephole(peephole),
                "coupled=True": CoupledLSTMCell if coupled else None,
                "forget_gate=False": None if forget_gate else NoForgetLSTMCell,
                "concatenated=True": ConcatenatedLSTMCell if concatenated else None,
                "layer_norm=True": LayerNormLSTMCell if layer_norm else None,
            }
        )
        more = {"proj_size": proj_size} if proj_size else {}
        super().__init__(
            lambda n: kind(n, hidden_size, bias, forget_bias=forget_bias, dtype=dtype, **more),
            input_size, num_layers, batch_first, dropout, bidirectional, **noise,
        )  # fmt: skip


def _peephole(asked: bool | str) -> type[LSTMCell] | None:
    kinds = {True: PeepholeLSTMCell, "diagonal": PeepholeLSTMCell, "full": FullPeepholeLSTMCell, False: None}
    if not isinstance(asked, bool | str) or asked not in kinds:
        raise GraphError(f"LSTM: peephole is {asked!r}, but has to be True, False, 'diagonal' or 'full'")
    return kinds[asked]


def _lstm_cell(variants: Mapping[str, type[LSTMCell] | None]) -> Callable[..., Cell]:
    chosen = {option: kind for option, kind in variants.items() if kind is not None}
    if set(chosen.values()) == {PeepholeLSTMCell, CoupledLSTMCell}:
        return CoupledPeepholeLSTMCell
    if len(chosen) > 1:
        raise GraphError(
            f"LSTM: {' and '.join(chosen)}: only peephole=True and coupled=True go together; for any other two write a "
            "Cell with the step that is meant, and run it by Recurrent(lambda n: YourCell(n, ...), input_size)"
        )
    return next(iter(chosen.values()), LSTMCell)


class GRU(TorchLike):
    """torch's GRU: reset after the product, z keeps the past; the other forms by `reset_after` and `z_keeps` (see
    `GRUCell`).

    `layer_norm` normalises what stands inside the gates. See `Recurrent` for shapes and for what all layers take.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, h, trace = tg.nn.GRU(3, 4, batch_first=True)(np.ones((2, 5, 3)), trace=True)
    >>> output.shape, sorted(trace), len(trace["z"])
    ((2, 5, 4), ['h', 'm', 'n', 'r', 'x', 'z'], 5)
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, *, reset_after: bool = True, z_keeps: bool = True,
        layer_norm: bool = False, dtype: Any = np.float64, **noise: Unpack[Noise],
    ) -> None:  # fmt: skip
        self.hidden_size, self.bias = hidden_size, bias
        kind = LayerNormGRUCell if layer_norm else GRUCell
        super().__init__(
            lambda n: kind(n, hidden_size, bias, reset_after, z_keeps, dtype=dtype),
            input_size, num_layers, batch_first, dropout, bidirectional, **noise,
        )  # fmt: skip
