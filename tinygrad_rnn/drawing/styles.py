"""Colours, shapes and sizes: the one place to change how a picture looks.

Fills are tints of the Okabe-Ito palette (safe for colour-blind readers) of different lightness, and each role also has
a mark that survives a grey printer: a heavy rim for states, a broken one for targets, a square for parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

SERIF = "STIX Two Text, Times New Roman, Times, Liberation Serif, serif"
DOT_SERIF = "Times"

INK = "#222222"
FAINT = "#8a8a8a"
EDGE = "#444444"
BACKWARD = "#c8102e"
CLUSTER_LINE = "#cfcfcf"
CLUSTER_FILL = "#fafafa"

TITLE_SIZE = 17.0
NAME_SIZE = 15.0
OPERATION_SIZE = 11.0
SMALL_SIZE = 9.0
LEGEND_SIZE = 11.5


@dataclass(frozen=True, slots=True)
class Style:
    """How one role looks: fill, rim, rim width, and whether the rim is broken."""

    fill: str
    line: str
    width: float = 1.1
    dashed: bool = False
    meaning: str = ""


ROLES: dict[str, Style] = {
    "input": Style("#cfe3f4", "#0072b2", meaning="input"),
    "inner": Style("#ffffff", "#666666", meaning="intermediate"),
    "state": Style("#fbd38a", "#a86400", 2.2, meaning="state"),
    "output": Style("#d3eee3", "#00795a", meaning="output"),
    "loss": Style("#f5b9a3", "#b24700", meaning="loss"),
    "target": Style("#f6e6ef", "#a8557f", 1.3, True, meaning="target"),
    "parameter": Style("#f4efb4", "#8a7d00", meaning="parameter"),
    "operation": Style("#ffffff", "#777777", 0.9, meaning="operation"),
    "product": Style("#fbd38a", "#a86400", 2.0, meaning="product of matrices"),
    "constant": Style("#eeeeee", "#a0a0a0", 0.8, meaning="constant"),
    "elided": Style("none", "none", 0.0),
    "unfold": Style("#dddddd", "#8a8a8a", 0.9),
}
#: roles with a square for a sign
SQUARES = ("parameter", "product", "constant")
#: the order in which the legend explains them
LEGEND_ORDER = ("input", "inner", "state", "output", "loss", "target", "parameter", "product", "operation", "constant")
