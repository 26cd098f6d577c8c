"""A backward pass in code: the user's arrays and functions, the true gradients beside it, and what is wrong with it.

`arrays` finds the float arrays in inputs and weights, `subject` calls the user's two functions and reads what they
return, `true_gradients` differentiates the forward function (recorded, by complex step, or by differences), `foreign`
knows torch and jax, `compare` sets one gradient beside the true one, `mistakes` looks for what was done wrong, and
`explanation` says in words where and how a gradient is wrong. `verdicts` puts them together.
"""
