"""A plan as machine code: text for numba, its kernels, and where both are kept."""
