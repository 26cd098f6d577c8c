"""Looking at a run: how gradients flow through time, which gates are stuck, where the first nan came from.

Every question has its answer as data, and the data its picture (`.plot(path)`, with the extra `train`). Nothing here
changes a graph or a parameter.
"""

from __future__ import annotations

from .finite import NonFinite, first_nonfinite

__all__ = ["NonFinite", "first_nonfinite"]
