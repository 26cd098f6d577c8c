"""Say in words how a wrong gradient is wrong, and if that cannot be said, what would help to say it.

First the lines of the pass, where forward names its states and backward returns them by step; then one mistake that
explains everything; then what each array is instead of the right one, and in which rows, columns and steps it is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...core.graph import Graph
from ..report import FAIL, INCONCLUSIVE, PASS, Row
from .arrays import Place
from .blocks import blocks_of, gate_names, located
from .compare import Comparison
from .lines import explained as by_line
from .relations import Clipped, clipped, related
from .subject import Subject
from .suspects import suspect
from .truth import Truth

Stated = Mapping[Place, np.ndarray]


class Explanation:
    """The rows with what is wrong in each that failed, and notes on the whole."""

    def __init__(
        self,
        rows: list[Row],
        comparisons: Mapping[Place, Comparison],
        stated: Stated,
        truth: Truth,
        subject: Subject,
        eps: float,
    ) -> None:
        self.rows = rows
        self.notes: list[str] = []
        self.comparisons, self.stated, self.truth, self.subject, self.eps = comparisons, stated, truth, subject, eps
        if not any(row.verdict == FAIL for row in rows):
            return
        limit = clipped(stated, comparisons, truth, eps)
        if limit is not None:
            self._clip(limit)
            return
        self._explain()

    def _clip(self, limit: Clipped) -> None:
        """Clipped gradients are what was meant, as far as anything is left of them."""
        self.notes.append(str(limit))
        rows = []
        for row in self.rows:
            arrays = [self.stated[place] for place in self.stated if place[0] == row.name[1:].removesuffix("[t]")]
            cut = sum(int(np.sum(np.abs(a) == limit.limit)) for a in arrays)
            much = not limit.by_norm and 2 * cut > sum(a.size for a in arrays)
            why = "most of it is at the limit of the clipping: judge it before it is clipped" if much else ""
            steps = [replace(s, verdict=INCONCLUSIVE if much else PASS, error=0.0, why=why) for s in row.steps]
            verdict = row.verdict if row.verdict == INCONCLUSIVE else steps[0].verdict
            rows.append(replace(row, steps=steps, verdict=verdict))
        self.rows = rows

    def _explain(self) -> None:
        if self.truth.loss is not None and any(place not in self.subject.leaves for place in self.stated):
            self.rows = by_line(self.rows, self.truth.loss, self.stated, Graph(self.truth.loss))
            if any(row.mistake for row in self.rows):
                return
        words = self.subject.words
        sentence = suspect(self.stated, self.truth, words, self.eps) if self.truth.loss is not None else ""
        if sentence:
            self._one_mistake(sentence)
            return
        self.rows = [replace(row, explanation=self._said(row)) if row.verdict == FAIL else row for row in self.rows]
        if not all(row.explanation for row in self.rows if row.verdict == FAIL):
            self.notes.append(self._what_to_name())

    def _one_mistake(self, sentence: str) -> None:
        failed = [row.name for row in self.rows if row.verdict == FAIL]
        rows = []
        for row in self.rows:
            if row.verdict == FAIL:
                others = f" (this alone explains {', '.join(failed)})" if len(failed) > 1 else ""
                first = row.name == failed[0]
                said = sentence + others if first else f"follows from the mistake told at {failed[0]}"
                row = replace(row, mistake="one mistake" if first else "", explanation=said)
            rows.append(row)
        self.rows = rows

    def _said(self, row: Row) -> str:
        """What is said of one array by its numbers."""
        if row.explanation:
            return row.explanation
        name = row.name[1:].removesuffix("[t]")
        sentences = []
        for place, comparison in self.comparisons.items():
            if place[0] == name and comparison.verdict == FAIL:
                relation = related(place, self.stated[place], self.truth, self.eps, self._lengths())
                sentences.append(relation or self._located(place, comparison))
        return "; ".join(dict.fromkeys(s for s in sentences if s))

    def _located(self, place: Place, comparison: Comparison) -> str:
        shapes = {p: array.shape for p, array in self.subject.leaves.items()}
        blocks = blocks_of(place, shapes) if place in shapes else 1
        gates = gate_names(self.subject.functions, blocks) if blocks > 1 else []
        return located(comparison.wrong, blocks, gates)

    def _lengths(self) -> dict[int, str]:
        """What the lengths of axes are called: `the length of axis 0 of x`."""
        lengths: dict[int, str] = {}
        for (name, step), array in self.subject.leaves.items():
            if step is not None:
                lengths.setdefault(sum(other == name for other, _ in self.subject.leaves), f"the length of {name}")
            for axis, length in enumerate(array.shape):
                lengths.setdefault(length, f"the length of axis {axis} of {name}")
        return lengths

    def _what_to_name(self) -> str:
        if self.truth.loss is None:
            return (
                "the mistake can be located no closer, because forward could not be recorded: collect the states in a "
                "list (and np.stack it) instead of writing them into an array, and it will be named"
            )
        return (
            "no single mistake that is known explains this: name the states in forward, h = tg.name('h', h) inside of "
            "`for t in tg.steps(T)`, and let backward return their gradients by step too ({'h': {t: dh}}); then the "
            "line with the mistake is told"
        )
