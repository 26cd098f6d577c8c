"""Layers: every recurrent system of the documents, composed from the primitives, with the names torch users expect.

A layer records each step in the graph like hand-written code; nothing here is fused or hidden. How weights are trained
belongs to `train`, how a run is looked at to `analysis`.
"""

from __future__ import annotations

from . import init
from .module import Module, parameter
from .random import get_rng_state, manual_seed, set_rng_state

__all__ = ["Module", "get_rng_state", "init", "manual_seed", "parameter", "set_rng_state"]
