"""Say in words how a wrong gradient is wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...core.graph import Graph
from ..report import FAIL, Row
from .arrays import Place
from .compare import Comparison
from .lines import explained as by_line
from .subject import Subject
from .truth import Truth


def explained(
    rows: list[Row],
    comparisons: Mapping[Place, Comparison],
    stated: Mapping[Place, np.ndarray],
    truth: Truth,
    subject: Subject,
    eps: float,
) -> list[Row]:
    """The rows with an explanation for each that failed."""
    if truth.loss is not None and any(row.verdict == FAIL for row in rows):
        return by_line(rows, truth.loss, stated, Graph(truth.loss))
    return rows
