"""Looking at a run: how gradients flow through time, which gates are stuck, where the first nan came from.

Every question has its answer as data, and the data its picture (`.plot(path)`, with the extra `train`). Nothing here
changes a graph or a parameter.
"""

from __future__ import annotations

from .eigenvalues import Spectrum, spectrum
from .finite import NonFinite, first_nonfinite
from .gates import Saturation, saturation
from .jacobian_products import Jacobians, jacobians
from .norms import GradientNorms, PairNorms, gradient_norms, pair_norms
from .recorded_quantities import carried, quantities

__all__ = [
    "GradientNorms",
    "Jacobians",
    "NonFinite",
    "PairNorms",
    "Saturation",
    "Spectrum",
    "carried",
    "first_nonfinite",
    "gradient_norms",
    "jacobians",
    "pair_norms",
    "quantities",
    "saturation",
    "spectrum",
]
