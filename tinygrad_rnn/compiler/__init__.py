"""Run a recurrent network at the speed of hand-tuned code: compile the folded graph.

`compile` gives a function of any sequence length and batch size. Inside, data flows one way: `record` runs the function
on a few steps, `build` folds them to a program, `differentiate` adds the gradient, the passes (`simplify`,
`features_first`, `reassociate`, `merge_products`) say the same with less work, `horizontal_packing` and `lower` turn it
into a `plan`, and an executor (`run_numpy`, `run_jit`) carries it out. No pass knows of any particular cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .unsupported import CompileError

if TYPE_CHECKING:
    from .function import Compiled


def compile(function: Callable[..., Any], executor: str = "numpy", checkpoint: int | str | None = None) -> Compiled:
    """A function that computes the same as `function`, faster, for any sequence length and batch size.

    function: of arrays, floats, dicts, lists and tuples of them, and Modules; or `value_and_grad` or `grad` of such a
    function. A sequence is an argument that is indexed by the step, inside of `tg.steps`. The first call with new
    shapes records a few steps, compares values and gradients with those of the function, and looks once at its own
    length, as later calls do that are longer. Values agree with those of the function to a few units in the last place.
    executor: `"numpy"`, or `"jit"` (needs the extra `[jit]`). checkpoint: keep states only every so many steps,
    a number or `"sqrt"` of the length, and compute the rest a second time: far less memory, the same gradients. Raises
    `CompileError` where the function decides by values, naming the line.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> def loss(p, x):
    ...     h = np.zeros((x.shape[1], 2))
    ...     for t in tg.steps(len(x)):
    ...         h = np.tanh(tg.linear(h, p["W"]) + x[t])
    ...     return np.sum(h * h)
    >>> fast = tg.compile(tg.value_and_grad(loss))
    >>> p, x = {"W": np.eye(2)}, np.full((50, 1, 2), 0.1)
    >>> value, grads = fast(p, x)
    >>> bool(np.isclose(value, tg.value_and_grad(loss)(p, x)[0])), grads["W"].shape
    (True, (2, 2))
    >>> value, grads = fast(p, x[:7])
    >>> fast.recordings
    1
    """
    from .function import Compiled

    return Compiled(function, executor, checkpoint)


__all__ = ["CompileError", "compile"]
