"""Losses: how far outputs are from what was wanted, as one number or as one for each sample.

Names, arguments and reductions are torch's; the classes stand on the last axis, so that a time-first output (T, B, O)
needs no moving around. A `mask` leaves entries out (padding, steps without a target), whatever stands
there. Likelihoods of whole sequences
belong to the models that define them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.declare import shape_of
from ..core.errors import GraphError, ShapeError
from ..core.ops.elementwise import softplus
from ..core.ops.indexing import HOLE, cast, equals, pick, some, unlike
from ..core.ops.reductions import cross_entropy as _cross_entropy
from ..core.ops.reductions import refuse_other_classes
from ..core.tensor import Tensor, plain, tensor
from .arguments import in_graph


def cross_entropy(
    logits: Any, targets: Any, mask: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """`-log softmax(logits)[target]` for integer targets (documents 000 and 004, sections 2.2 and 2.4).

    logits (..., classes), targets (...), mask (...) of 0 and 1 or booleans. Targets equal to `ignore_index` and masked
    ones count nothing, and `mean` divides by the number of the others. Raises `ShapeError` for shapes or classes that
    do not fit, `GraphError` where nothing is left to average.

    >>> import numpy as np
    >>> from tinygrad_rnn import nn
    >>> round(float(nn.cross_entropy(np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([0, -100]))), 4)
    0.1269
    """
    weights = _kept("cross_entropy", mask, shape_of(targets))
    safe, weights = _counted(targets, ignore_index, weights)
    return _reduced("cross_entropy", _cross_entropy(_left("cross_entropy", logits, weights), safe), weights, reduction)


def nll_loss(
    log_probabilities: Any, targets: Any, mask: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """`-log_probabilities[target]`: the negative log-likelihood, for outputs that are logarithms already.

    Arguments and errors as for `cross_entropy`. Raises `ShapeError` for targets of another shape or kind.

    >>> import numpy as np
    >>> from tinygrad_rnn import nn
    >>> round(float(nn.nll_loss(np.log([[0.25, 0.75]]), np.array([1]))), 4)
    0.2877
    """
    wanted, shape = np.asarray(plain(targets)), shape_of(log_probabilities)
    if not shape or wanted.dtype.kind not in "iu" or wanted.shape != shape[:-1]:
        raise ShapeError(
            f"nll_loss: log-probabilities {shape} need integer targets of shape {shape[:-1]}, "
            f"not {wanted.dtype} of shape {wanted.shape}"
        )
    safe, weights = _counted(targets, ignore_index, _kept("nll_loss", mask, wanted.shape))
    refuse_other_classes("nll_loss: targets", np.asarray(plain(safe)), shape[-1])
    picked = pick(log_probabilities, safe, index=(*np.ogrid[tuple(slice(n) for n in wanted.shape)], HOLE))
    return _reduced("nll_loss", -_left("nll_loss", picked, weights), weights, reduction)


def mse_loss(outputs: Any, targets: Any, mask: Any = None, reduction: str = "mean") -> Any:
    """The squared difference, entry by entry.

    outputs and targets of one shape; mask of that shape, or of its leading axes (one number for each sample).

    >>> from tinygrad_rnn import nn
    >>> float(nn.mse_loss(3.0, 1.0))
    4.0
    """
    _same_shape("mse_loss", outputs, targets)
    weights = _kept("mse_loss", mask, None)
    difference = _left("mse_loss", outputs - targets, weights)
    return _reduced("mse_loss", difference * difference, weights, reduction)


def binary_cross_entropy_with_logits(logits: Any, targets: Any, mask: Any = None, reduction: str = "mean") -> Any:
    """`-log` of a Bernoulli unit's probability of its target: y log σ(z) + (1 - y) log(1 - σ(z)), without overflow.

    logits and targets of one shape, targets between 0 and 1; mask as in `mse_loss`. Also for sets of symbols, each of
    which is right or wrong on its own (document 004, section 2.6 has the stop unit).

    >>> from tinygrad_rnn import nn
    >>> round(float(nn.binary_cross_entropy_with_logits(0.0, 1.0)), 4)
    0.6931
    """
    _same_shape("binary_cross_entropy_with_logits", logits, targets)
    loss = "binary_cross_entropy_with_logits"
    weights = _kept(loss, mask, None)
    z, y = _left(loss, logits, weights), _left(loss, targets, weights)
    return _reduced(loss, softplus(z) - z * y, weights, reduction)


def _same_shape(loss: str, outputs: Any, targets: Any) -> None:
    # broadcasting (T, B, 1) against (T, B) silently gives a loss over T x B x B pairs
    if np.shape(plain(outputs)) != np.shape(plain(targets)):
        raise ShapeError(
            f"{loss}: outputs {np.shape(plain(outputs))} and targets {np.shape(plain(targets))} must have one shape"
        )


def _kept(loss: str, mask: Any, shape: tuple[int, ...] | None) -> Any:
    """A mask as an array of weights or truth values; None where everything counts."""
    if mask is None:
        return None
    weights = mask if in_graph(mask) else np.asarray(plain(mask))
    if shape is not None and weights.shape != shape:
        raise ShapeError(f"{loss}: the mask has shape {weights.shape}, the targets {shape}")
    return weights


def _counted(targets: Any, ignore_index: int, weights: Any) -> tuple[Any, Any]:
    """Targets that are all class numbers, whatever stood where they do not count; and what counts.

    Of a Tensor of a graph, others may be ignored later; that a negative number is no class is seen by whoever compiles.
    """
    wanted = targets if in_graph(targets) else np.asarray(plain(targets))
    if weights is not None:
        given = wanted if in_graph(wanted) or not in_graph(weights) else tensor(wanted, requires_grad=False)
        targets = wanted = np.where(weights, given, np.zeros((), wanted.dtype))
    ignored = equals(wanted, number=ignore_index)
    if not np.any(plain(ignored)) and not (in_graph(targets) and ignore_index >= 0):
        return targets if isinstance(targets, Tensor) else wanted, weights
    counts = unlike(ignored) if weights is None else np.where(ignored, np.zeros((), weights.dtype), weights)
    return np.where(ignored, np.zeros((), wanted.dtype), wanted), counts


def _left(loss: str, x: Any, weights: Any) -> Any:
    """x, but 0 where nothing counts: nan in padding must reach neither the loss nor, as 0 · nan, its gradient."""
    if weights is None or (not isinstance(weights, Tensor) and np.all(weights)):
        return x
    return np.where(_spread(loss, weights, shape_of(x)), x, 0.0)


def _spread(loss: str, weights: Any, shape: tuple[int, ...]) -> Any:
    """One weight for each entry; those given stand for the leading axes."""
    if weights.shape != shape[: weights.ndim]:
        raise ShapeError(f"{loss}: the mask has shape {weights.shape}, the losses {shape}")
    return np.broadcast_to(np.reshape(weights, weights.shape + (1,) * (len(shape) - weights.ndim)), shape)


def _reduced(loss: str, losses: Any, weights: Any, reduction: str) -> Any:
    if reduction not in ("mean", "sum", "none"):
        raise GraphError(f"{loss}: reduction is 'mean', 'sum' or 'none', not {reduction!r}")
    if weights is not None:
        weights = _spread(loss, weights, shape_of(losses))
        losses = losses * cast(weights, dtype=np.result_type(plain(losses)))
    if reduction == "none":
        return losses
    if reduction == "sum":
        return np.sum(losses)
    if isinstance(weights, Tensor):
        return np.sum(losses) / some(np.sum(cast(weights, dtype=np.float64)))
    count = float(np.prod(shape_of(losses))) if weights is None else float(np.sum(weights))
    if not count:
        raise GraphError(f"{loss}: every target is ignored or masked, so there is nothing to average")
    return np.sum(losses) / count
