"""A model as a system of affine recurrence equations: each equation on its domain, for every length.

    affine constraints -> domain        sets of index tuples, exact for every length
    model -> system                     which equation holds where
    recorded loop -> equations          a function, a layer or a graph, folded and written as a model

Nothing here differentiates or judges; `derivation` and `verify` read it.
"""

from .affine_system import Clause, System
from .domain import EVERYWHERE, Domain

__all__ = ["EVERYWHERE", "Clause", "Domain", "System"]
