"""The graph: nodes, primitives, scopes, and the sweep that differentiates. Imports numpy only."""
