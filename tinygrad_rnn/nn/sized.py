"""What systems made of several networks share: how their weights start."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.tensor import Tensor
from . import init
from .arguments import whole
from .module import Module, parameter


class Sized(Module):
    """A module with one `hidden_size` and `dtype`, whose weights start as those of torch's recurrent layers."""

    hidden_size: int
    dtype: np.dtype[Any]

    def weight(self, symbol: str, *shape: int) -> Tensor:
        """A parameter that starts uniform between -1/sqrt(hidden_size) and 1/sqrt(hidden_size)."""
        kind = type(self).__name__
        for size in (self.hidden_size, *shape):
            whole(kind, f"a size of {symbol} {shape}", size)
        return parameter(symbol, init.uniform(shape, self.hidden_size**-0.5, self.dtype))
