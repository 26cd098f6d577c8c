"""Recurrent networks as one explicit graph: differentiate, draw and verify backpropagation through time.

This file holds the public names only; nothing is defined here.
"""

from .core.autodiff import grad, gradients, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from .core.contractions import matmul
from .core.elementwise import logaddexp, relu, sigmoid, softplus, where
from .core.errors import (
    DtypeError,
    GraphError,
    LanguageError,
    NotDifferentiableError,
    ReadOnlyError,
    ShapeError,
    TinygradError,
)
from .core.functions import name
from .core.graph import Graph
from .core.reductions import add_n, cross_entropy, log_softmax, logsumexp, norm, onehot, softmax
from .core.scope import no_grad, scope, step, steps
from .core.shaping import embedding
from .core.tensor import Tensor, tensor
from .draw import draw
from .language import Model, Run, load, load_all
from .verify.gradcheck import check_grads
from .verify.judge import verify
from .verify.report import Report

__version__ = "0.1.0"
