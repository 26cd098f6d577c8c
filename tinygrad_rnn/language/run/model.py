"""From a file or a text to a model that can be run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import LanguageError
from ..expressions import Document
from ..shipped import resolve
from ..syntax.grammar import parse
from ..syntax.markdown import blocks
from ..syntax.source import Source
from ..types.typed_document import TypedDocument
from .unroll import Run, Unroller

if TYPE_CHECKING:
    from .compiled_model import CompiledModel


class Model(TypedDocument):
    """Equations that can be run: a `TypedDocument` that is unrolled and compiled."""

    def unroll(
        self,
        T: int,
        seed: int = 0,
        batch: int = 1,
        values: Mapping[Any, Any] | None = None,
        scale: float = 1.0,
        lengths: Mapping[str, int] | None = None,
        checked: bool = True,
    ) -> Run:
        """Run the model over the steps 1 to T and record the graph.

        Where there are several sequences, T is the length called T (else the first one declared), and `lengths` may
        give the others, as {"S": 7}; each is one longer than the one before unless it is given.

        Values are random (`seed`, `scale`) unless `values` gives them: for a parameter by name; for an input by name,
        as a sequence over the steps, or by (name, step); for an initial state by (name, step), as ("h", 0). A column
        takes shape (n,), (n, 1) or (n, batch); given labels are what the file declares, unless `checked` is False.
        Raises `LanguageError` for circular definitions and for steps outside the sequence, `ShapeError` for values that
        do not fit.

        >>> import tinygrad_rnn as tg
        >>> from tinygrad_rnn.language import load
        >>> model = load("sizes: h = 2\\nh[t] = tanh(W @ h[t-1])\\nL = sum(t, sum(h[t]))")
        >>> run = model.unroll(3)
        >>> run["h", 3].shape, sorted(run.parameters)
        ((2, 1), ['W'])
        """
        return Unroller(self, self.lengths(T, lengths), seed, batch, values, scale, checked).run()

    def compile(self, executor: str = "numpy", checkpoint: int | str | None = None) -> CompiledModel:
        """The loss and its gradients as a fast function of all values by name, for any length and batch size.

        See `CompiledModel` for what it takes. A model that is not one step repeated is compiled flat, for the lengths
        it is called with.

        >>> import numpy as np
        >>> from tinygrad_rnn.language import load
        >>> model = load("sizes: h = 2, x = 2\\nh[t] = tanh(W @ h[t-1] + x[t])\\nL = sum(t, sum(h[t]))")
        >>> fast = model.compile()
        >>> loss, grads = fast({"W": np.eye(2), "x": np.ones((50, 2)), ("h", 0): np.zeros(2)})
        >>> round(loss, 3), grads["W"].shape
        (95.679, (2, 2))
        """
        from .compiled_model import CompiledModel  # who only judges needs none of it

        return CompiledModel(self, executor, checkpoint)


def load(source: str | Path | Source) -> Model:
    """Read a model from a path, a shipped model's name, or a text that has more than one line (or is a `Source`).

    In Markdown (`.md`) the model is the block fenced as `rnn`. Raises `LanguageError` for anything that cannot be read:
    its message has file, line, column, a caret and what was expected.

    >>> from tinygrad_rnn.language import load
    >>> load("model: tiny\\nsizes: h = 2\\nh[t] = tanh(W @ h[t-1])\\nL = sum(t, sum(h[t]))")
    <model 'tiny': 2 equations, 0 gradients>
    """
    return Model(read(source))


def read(source: str | Path | Source) -> Document:
    """As `load`, but the document alone: names and shapes are not looked at."""
    text = source if isinstance(source, Source) else _read(source)
    if not _is_markdown(text):
        return parse(text)
    found = blocks(text)
    if len(found) != 1:
        hint = "use load_all to read them all" if found else "mark the block that holds the equations as ```rnn"
        raise LanguageError(
            f"there are {len(found)} blocks marked rnn in this file; load reads one", text.name, hint=hint
        )
    return parse(found[0].source(text.name))


def load_all(source: str | Path) -> list[Model]:
    """Read every model of a file: each block fenced as `rnn` of a Markdown file, or the one model of any other file,
    of a shipped name or a text.
    """
    text = _read(source)
    if not _is_markdown(text):
        return [Model(parse(text))]
    models = []
    for block in blocks(text):
        model = Model(parse(block.source(text.name)))
        model.name = model.document.model or block.heading or model.name
        models.append(model)
    return models


def _is_markdown(source: Source) -> bool:
    return source.name.lower().endswith((".md", ".markdown"))


def _read(source: str | Path) -> Source:
    if isinstance(source, str) and "\n" in source:
        return Source(source)
    return Source.from_path(resolve(source), "expected a path, a shipped model's name, or a text of several lines")
