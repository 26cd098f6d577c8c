"""Equations entry by entry, where everything commutes: polynomials in units, sums over bound variables, their zeros."""
