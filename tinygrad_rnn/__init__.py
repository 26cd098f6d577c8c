"""Recurrent networks as one explicit graph: differentiate, draw and verify backpropagation through time.

This file holds the public names only; nothing is defined here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .compiler import CompileError, compile
from .core.autodiff import gradients
from .core.custom import custom_vjp
from .core.errors import (
    CheckpointError,
    DerivationError,
    DtypeError,
    FoldError,
    GraphError,
    LanguageError,
    MissingExtraError,
    NonFiniteError,
    NotDifferentiableError,
    ReadOnlyError,
    ShapeError,
    TinygradError,
)
from .core.functional import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from .core.graph import Graph
from .core.ops.contractions import linear, matmul
from .core.ops.elementwise import logaddexp, relu, sigmoid, softplus, where
from .core.ops.identity import name, stop
from .core.ops.linalg import norm
from .core.ops.reductions import add_n, cross_entropy, log_softmax, logsumexp, onehot, softmax
from .core.ops.shaping import embedding
from .core.scope import no_grad, scope, step, steps
from .core.spellings import hint as _hint
from .core.tensor import DIFFERENTIABLE as _DIFFERENTIABLE
from .core.tensor import Tensor, tensor
from .core.version import VERSION
from .derivation import derive
from .drawing import draw, graphical_model, heatmap, write
from .verification import verify, verify_backward

if TYPE_CHECKING:
    from .core.loop.fold import fold
    from .core.loop.program import LoopProgram
    from .core.loop.unfold import unfold
    from .language import Model, Run, load, load_all
    from .verification.measure.gradcheck import check_grads
    from .verification.report import Report

__version__ = VERSION

#: imported when first asked for: the engine alone starts in a third of the time
_LATER = {
    "LoopProgram": ".core.loop.program",
    "fold": ".core.loop.fold",
    "unfold": ".core.loop.unfold",
    "Model": ".language",
    "Run": ".language",
    "load": ".language",
    "load_all": ".language",
    "check_grads": ".verification.measure.gradcheck",
    "Report": ".verification.report",
}
#: whole packages and modules, reached as `tinygrad_rnn.nn`
_PACKAGES = {"analysis", "nn", "testing", "train"}


def __getattr__(wanted: str) -> Any:
    if wanted in _PACKAGES:
        return import_module(f".{wanted}", __name__)
    if wanted in _LATER:
        return getattr(import_module(_LATER[wanted], __name__), wanted)
    raise AttributeError(f"module {__name__!r} has no attribute {wanted!r}{_hint(wanted, _DIFFERENTIABLE)}")


def __dir__() -> list[str]:
    ours = [key for key, value in globals().items() if getattr(value, "__module__", "").startswith(__name__)]
    return sorted([*(key for key in ours if not key.startswith("_")), *_LATER, *_PACKAGES])
