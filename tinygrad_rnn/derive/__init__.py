"""Terms of equations read off a recorded graph, for `verify.truth`; derivations are made by `derivation`."""

from ..derivation import derive

__all__ = ["derive"]
