"""A backward pass in code: the user's arrays and functions, the true gradients beside it, and what is wrong with it.

`arrays` finds the float arrays in inputs and weights, `subject` calls the user's two functions, `results` reads what
they return, `truth` differentiates the forward function (recorded, by complex step, or by differences), `foreign` knows
torch and jax, and `explain`, `blocks` say in words where and how a gradient is wrong. `verify.handwritten` puts them
together.
"""
