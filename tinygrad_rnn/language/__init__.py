"""Models written as in a paper: equations in, a typed model and its unfolded graph out.

    text -> tokens -> formula, grammar -> quantities -> shapes -> model -> unroll, gradients

Nothing here differentiates or judges; that is done by the readers of the graph.
"""

from .expressions import Document, Equation
from .run.gradient_equations import Evaluator
from .run.model import Model, load, load_all, read
from .run.unroll import Run
from .syntax.grammar import parse
from .syntax.source import Source, Span

__all__ = ["Document", "Equation", "Evaluator", "Model", "Run", "Source", "Span", "load", "load_all", "parse", "read"]
