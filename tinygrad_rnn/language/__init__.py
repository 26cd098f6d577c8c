"""Models written as in a paper: equations in, a typed model and its unfolded graph out.

    text -> tokens -> formula, grammar -> quantities -> shapes -> model -> unroll, gradients

Nothing here differentiates or judges; that is done by the readers of the graph.
"""

from .expressions import Document, Equation
from .gradients import Evaluator
from .grammar import parse
from .model import Model, load, load_all, read
from .source import Source, Span
from .unroll import Run

__all__ = ["Document", "Equation", "Evaluator", "Model", "Run", "Source", "Span", "load", "load_all", "parse", "read"]
