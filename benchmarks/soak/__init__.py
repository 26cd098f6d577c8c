"""Random models, right derivations restated and wrong ones, to find what the judge, the prover and `derive` get wrong.

Nothing here calls what it tests to know the truth: the tree, the reader, the arithmetic, the complex step and the
adjoint are the soak's own; for random programs and layers it is torch, for compiled loops eager code.
"""
