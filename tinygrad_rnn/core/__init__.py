"""The graph: nodes, primitives, scopes, and the sweep that differentiates. Imports numpy only."""

from . import methods  # the tables register numpy's functions
from .ops import joining, linalg, ordering, special, statistics
