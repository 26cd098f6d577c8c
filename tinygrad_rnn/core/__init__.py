"""The graph: nodes, primitives, scopes, and the sweep that differentiates. Imports numpy only."""

from . import joining, linalg, methods, ordering, special, statistics  # the tables register numpy's functions
