"""Gradients of what was recorded: what with respect to what, and in which shape to return it.

How a graph is walked backwards is the business of `backward`; functions of functions (`grad`, `jacobian`, ...) stand in
`functional`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .backward import Gradient, PerStep, numeric, recorded
from .errors import DtypeError, GraphError, ShapeError, kind_of
from .graph import ancestors
from .ops.identity import stop
from .scope import Index
from .tensor import Tensor, Value, constant


def backward(output: Tensor) -> None:
    """Add the gradient of this scalar to `.grad` of every leaf and named tensor that it depends on.

    As in torch gradients add up until `zero_grad()`: those of several losses, and of one loss asked twice.
    `tg.gradients` returns them instead. Raises `GraphError` unless the tensor has exactly one entry.

    >>> import tinygrad_rnn as tg
    >>> x = tg.tensor(3.0)
    >>> (x * x).backward()
    >>> (2.0 * x).backward()
    >>> x.grad
    8.0
    """
    if not output.requires_grad:
        raise GraphError("backward: nothing below this tensor asks for a gradient")
    active = _differentiable_ancestors(output)
    for i, g in numeric(active, {output.id: cotangent(output, None)}).items():
        node = active[i]
        before = node.grad
        if before is not None:
            g = before + g  # a new array: whoever holds the gradient of before keeps it
        node.grad = g if type(g) is float and type(node.value) is float else _owned(g, node)


Tensor.backward = backward  # type: ignore[method-assign, assignment]


def gradients(output: Tensor, inputs: Any, create_graph: bool = False, per_step: bool = False, seed: Any = None) -> Any:
    """The gradient of a scalar output with respect to each input (a Tensor, a sequence or a dict of them).

    Values come back as floats and arrays of the input's shape and dtype, or as Tensors with `create_graph=True`; an
    input the output does not depend on has gradient zero. `per_step=True` gives for each input a dict from time step
    to the contribution of the uses at that step: the gradient with respect to the book's dummy copies W^(t) (document
    004, section 2.2.3); their sum is the gradient. `seed` (default 1) is the cotangent for an output that is not a
    scalar. `.grad` is neither read nor changed. Raises `GraphError` for an output that `no_grad` did not record,
    `ShapeError` for a seed of another shape than the output's, `DtypeError` for complex numbers.

    >>> import tinygrad_rnn as tg
    >>> w = tg.tensor(0.2, name="w")
    >>> h = tg.tensor(0.9)
    >>> for t in tg.steps(1, 4):
    ...     h = w * h
    >>> {t: round(g, 4) for t, g in tg.gradients(h, w, per_step=True).items()}
    {1: 0.036, 2: 0.036, 3: 0.036}
    """
    if isinstance(inputs, dict):
        found = gradients(output, list(inputs.values()), create_graph, per_step, seed)
        return dict(zip(inputs, found, strict=True))
    targets = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for x in targets:
        if not isinstance(x, Tensor):
            raise GraphError(f"gradients are taken with respect to Tensors of the graph, not {kind_of(x)}")
    if not isinstance(output, Tensor):
        raise GraphError(f"gradients of a {kind_of(output)}: a Tensor is differentiated, and this has no graph")
    if not output.requires_grad and not output.scope.recording:
        raise GraphError("gradients: the output was computed under no_grad, which records nothing: leave that block")
    active = _between(output, targets)
    steps: PerStep | None = {x.id: {} for x in targets} if per_step else None
    found = gradients_between(active, output, targets, seed, create_graph, steps)
    return found[0] if isinstance(inputs, Tensor) else found


def gradients_between(
    active: dict[int, Tensor], output: Tensor, targets: Sequence[Tensor], seed: Any, create_graph: bool,
    steps: PerStep | None = None,
) -> list[Any]:  # fmt: skip
    """`gradients` where the nodes between the targets and the output are known."""
    g = cotangent(output, seed)
    if create_graph != isinstance(g, Tensor):
        g = constant(g) if create_graph else g.value
    start = {output.id: g} if output.id in active else {}
    grads = (recorded if create_graph else numeric)(active, start, {x.id for x in targets}, steps)
    if steps is None:
        return [_finish(grads.get(x.id), x, create_graph) for x in targets]
    return [
        {t: _finish(part, x, create_graph) for t, part in sorted(steps[x.id].items(), key=_by_step)} for x in targets
    ]


def pullback(
    outputs: Sequence[Tensor], seeds: Sequence[Any], inputs: Sequence[Tensor], create_graph: bool = False,
    immediate: bool = False,
) -> list[Any]:  # fmt: skip
    """What cotangents of the outputs give each input, J^T g; the inputs are coordinates of their own.

    Other than in `gradients`, nothing flows from one input to another: with all states of a step as outputs and those
    of the step before as inputs, J is the Jacobian of one time step (document 004, section 3.1), at the cost of that
    step. With `create_graph` and `immediate` the rules see computed values as constants, so that differentiating the
    result gives the immediate partial derivative with respect to the parameters.

    >>> import tinygrad_rnn as tg
    >>> from tinygrad_rnn.core.autodiff import pullback
    >>> c = tg.tensor(3.0) * 1.0
    >>> h = 2.0 * c
    >>> pullback([h * c], [1.0], [h, c])
    [3.0, 6.0]
    """
    leaves = {x.id: x for x in inputs}
    # a node older than every input depends on none of them
    oldest = min((x.id for x in inputs), default=0) if all(x.op is not None for x in inputs) else 0
    reached = {y.id: y for y in outputs}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node.id not in leaves:
            for x in node.inputs:
                if x.id not in reached and x.requires_grad and (x.id >= oldest or x.id in leaves):
                    reached[x.id] = x
                    stack.append(x)
    active: dict[int, Tensor] = {}
    for i in sorted(reached):
        if i in leaves:
            active[i] = _stand_in(leaves[i])
        elif any(x.id in active for x in reached[i].inputs):
            active[i] = reached[i]
    start = {y.id: cotangent(y, g) for y, g in zip(outputs, seeds, strict=True) if y.id in active}
    if create_graph:
        start = {i: g if isinstance(g, Tensor) else constant(g) for i, g in start.items()}
        found = recorded(active, start, set(leaves), seen=_as_constant if immediate else _itself)
    else:
        found = numeric(active, start, set(leaves))
    return [_finish(found.get(x.id), x, create_graph) for x in inputs]


def _stand_in(x: Tensor) -> Tensor:
    """Where a sweep ends although the graph goes on."""
    leaf = Tensor(x.value, None, (), None, x.name, x.scope, True)
    leaf.id = x.id
    return leaf


def _itself(x: Tensor) -> Tensor:
    return x


def _as_constant(x: Tensor) -> Tensor:
    return x if x.op is None else stop(x)


def _by_step(item: tuple[Index | None, Gradient]) -> tuple[int, ...]:
    step = item[0]
    return () if step is None else step if isinstance(step, tuple) else (step,)


def _differentiable_ancestors(output: Tensor) -> dict[int, Tensor]:
    seen = {output.id: output}
    stack = [output]
    while stack:
        for x in stack.pop().inputs:
            if x.id not in seen and x.requires_grad:
                seen[x.id] = x
                stack.append(x)
    return seen


def _between(output: Tensor, targets: Iterable[Tensor]) -> dict[int, Tensor]:
    """The nodes that lie on a differentiable path from a target to the output."""
    active = {x.id: x for x in targets}
    for node in ancestors([output]):
        if node.requires_grad and node.id not in active and any(x.id in active for x in node.inputs):
            active[node.id] = node
    return active


def reached_from(output: Tensor, leaves: Sequence[Tensor], start: int, oldest: int) -> tuple[dict[int, Tensor], bool]:
    """`_between` for leaves made by one call, and whether the output depends on anything else that asks for a gradient.

    The call began at id `start`; no leaf is older than `oldest`, so that what was recorded before is not walked.
    """
    active = {x.id: x for x in leaves}
    if not output.requires_grad:
        return active, False
    seen, stack = {output.id: output}, [output]
    outside = output.id < start and output.id not in active
    while stack:
        node = stack.pop()
        if node.id in active or node.id < oldest:
            continue
        for x in node.inputs:
            if x.requires_grad and x.id not in seen:
                seen[x.id] = x
                if x.op is not None or x.id in active:
                    stack.append(x)
                outside = outside or (x.id < start and x.id not in active and (x.op is None or x.id < oldest))
    for i in sorted(seen):
        if i not in active and any(x.id in active for x in seen[i].inputs):
            active[i] = seen[i]
    return active, outside


def cotangent(output: Tensor, seed: Any) -> Value:
    """What a sweep starts from: the seed, checked against the output; 1 where it is None, for a single entry.

    Raises `DtypeError` for an output or a seed of other than real numbers, `GraphError` for a missing seed of several
    entries, `ShapeError` for a seed of another shape.
    """
    if output.dtype.kind != "f":
        raise DtypeError(
            f"the output has dtype {output.dtype}, and only floats have a gradient: "
            "differentiate a real number, such as its real or imaginary part"
        )
    if seed is not None:
        if isinstance(seed, Tensor):
            shape, kind = seed.shape, seed.dtype.kind
        else:
            seed = seed if type(seed) is float else np.asarray(seed)
            shape, kind = np.shape(seed), "f" if type(seed) is float else seed.dtype.kind
        if shape != output.shape:
            raise ShapeError(f"a seed of shape {shape} for an output of shape {output.shape}: they have to be the same")
        if kind not in "fiub":
            raise DtypeError("a seed holds real numbers, as the output does")
        if isinstance(seed, Tensor):
            return seed
        return float(seed) if type(output.value) is float else np.asarray(seed, output.dtype)
    if type(output.value) is float:
        return 1.0
    if output.size != 1:
        raise GraphError(
            f"a gradient starts from a scalar, but this output has shape {output.shape}: "
            "sum it, or give a seed of that shape"
        )
    return np.ones_like(output.value)


def _owned(g: Gradient, x: Tensor) -> Value:
    """A gradient nobody else holds, in the dtype of the value it belongs to."""
    if type(g) is np.ndarray and g.dtype.kind == "c":
        raise DtypeError(
            f"the gradient of {x.name or 'an input'} is complex: the graph between computes with complex numbers, "
            "whose derivatives are not taken: write real and imaginary parts apart"
        )
    return float(g) if type(x.value) is float else np.array(g, dtype=x.dtype)


def _finish(g: Gradient, x: Tensor, create_graph: bool) -> Gradient:
    if create_graph:
        return constant(np.zeros(x.shape, x.dtype)) if g is None else g
    if g is None:
        return 0.0 if type(x.value) is float else np.zeros(x.shape, x.dtype)
    return _owned(g, x)
