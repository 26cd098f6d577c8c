"""Which numpy functions take Tensors: a page made of the tables themselves.

    python -m docs.functions

writes `docs/functions.md`; `tests/test_docs_functions.py` compares it with what is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tinygrad_rnn.core.atomic_files import write_atomically
from tinygrad_rnn.core.methods import METHODS
from tinygrad_rnn.core.signatures import HARMLESS, spelled
from tinygrad_rnn.core.spellings import KEYWORDS, SPELLINGS
from tinygrad_rnn.core.tensor import DIFFERENTIABLE, PLAIN

PAGE = Path(__file__).parent / "functions.md"
#: modules of `core` -> the heading of their functions, in the order of the page
HEADINGS = {
    ("elementwise", "special"): "Entry by entry",
    ("reductions", "statistics"): "Sums, means, differences",
    ("ordering",): "By order",
    ("shaping",): "Shapes, axes, picks",
    ("joining",): "Together and apart",
    ("contractions", "linalg"): "Products and linear algebra",
    ("methods",): "Kinds of numbers",
}
INTRODUCTION = """\
# numpy's functions on Tensors

Written by `python -m docs.functions` from the tables in `tinygrad_rnn/core`. A numpy function called with a Tensor
reaches the function here that computes the same and is differentiable to any order; one that has no derivative raises
and says what to do instead.

```python
>>> import numpy as np, tinygrad_rnn as tg
>>> A = np.array([[2.0, 0.5], [0.5, 1.0]])
>>> tg.grad(lambda a: np.linalg.slogdet(a).logabsdet)(A).round(4).tolist()
[[0.5714, -0.2857], [-0.2857, 1.1429]]
>>> np.sum(tg.tensor(A), out=np.zeros(()))
Traceback (most recent call last):
    ...
tinygrad_rnn.core.errors.NotDifferentiableError: np.sum on a Tensor does not take out=: ...

```
"""
ARGUMENTS = """\
## Arguments

No argument of numpy's is ever ignored. It is honoured; or it says what holds anyway (its default, and the values below,
which change nothing a Tensor could show); or an error names it.

| Argument | Values that change nothing |
|---|---|
"""
NOTES = """\
## Worth knowing

| Of | |
|---|---|
| `cholesky`, `eigh`, `eigvalsh` | numpy reads one triangle of the matrix alone, and so the gradient stands there |
| `svd` | a matrix that is not square needs `full_matrices=False`: the further vectors have no derivative |
| `eigh`, `svd` | vectors of a value that occurs twice have no derivative: inf or nan |
| `norm`, `std`, `hypot` | the derivative at 0 is defined as 0 |
| `max`, `min`, `maximum`, `minimum` and what is made of them | at a tie the cotangent is shared equally |
| `clip` | at a bound the cotangent goes to the clipped entry |
| `sort`, `partition`, `median`, `quantile` | the cotangent goes back to where each entry came from |
| `floor_divide`, `divmod`, `sign`, the sign of `slogdet` | no derivative: nothing flows back |
| `x.sort()` | returns the sorted tensor, where an array's sorts in place |
"""


def _listed(functions: Iterable[Any]) -> str:
    return ", ".join(f"`{name}`" for name in sorted({spelled(function) for function in functions}))


def _module(ours: Callable[..., Any]) -> str:
    """Where a function stands; a primitive made by a helper belongs to the elementwise tables."""
    name = ours.__module__.rpartition(".")[2]
    return "elementwise" if name == "declare" else name


def page() -> str:
    """The page as it has to be."""
    parts = [INTRODUCTION, "## Differentiable\n"]
    for modules, heading in HEADINGS.items():
        parts.append(
            f"**{heading}.** {_listed(f for f, ours in DIFFERENTIABLE.items() if _module(ours) in modules)}.\n"
        )
    parts.append(f"## Plain values\n\nThese have no derivative, and answer with numbers or arrays: {_listed(PLAIN)}.\n")
    methods = sorted(
        {function.__name__ for function in METHODS} | {"astype", "flatten", "reshape", "tolist", "transpose"}
    )
    listed = ", ".join(f"`{name}`" for name in methods)
    parts.append(f"## Methods\n\nWith the arguments of the function of the same name: {listed}; `T` and `mT`.\n")
    rows = [f"| `{name}` | {', '.join(f'`{value!r}`' for value in values)} |" for name, values in HARMLESS.items()]
    parts.append(ARGUMENTS + "\n".join(rows) + "\n")
    parts.append(NOTES)
    rows = [f"| `{name}` | {text} |" for name, text in sorted(SPELLINGS.items())]
    rows += [f"| `{name}=` | `{text}=` |" for name, text in KEYWORDS.items()]
    parts.append(
        "## torch's spelling\n\nAn error says so as well.\n\n| There | Here |\n|---|---|\n" + "\n".join(rows) + "\n"
    )
    return "\n".join(parts)


if __name__ == "__main__":
    write_atomically(PAGE, page().encode())
