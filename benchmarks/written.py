"""The three cells as a user of tinygrad_rnn writes them: gates apart, one equation a line, no thought of speed.

The same lines run eagerly and compiled. Nothing is timed here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from benchmarks.networks import GATES, Arrays, Problem


def rnn(p: dict[str, Any], x: Any, weights: Any) -> Any:
    """h = tanh(W h + U x + b)"""
    h, total = p["h0"], 0.0
    for t in tg.steps(len(x)):
        h = np.tanh(tg.linear(h, p["W_h"]) + tg.linear(x[t], p["U_h"]) + p["b_h"])
        total = total + np.sum(weights[t] * h)
    return total


def lstm(p: dict[str, Any], x: Any, weights: Any) -> Any:
    """The LSTM with forget gate, as on the page."""
    h, c, total = p["h0"], p["c0"], 0.0
    for t in tg.steps(len(x)):
        i = tg.sigmoid(tg.linear(h, p["W_i"]) + tg.linear(x[t], p["U_i"]) + p["b_i"])
        f = tg.sigmoid(tg.linear(h, p["W_f"]) + tg.linear(x[t], p["U_f"]) + p["b_f"])
        g = np.tanh(tg.linear(h, p["W_g"]) + tg.linear(x[t], p["U_g"]) + p["b_g"])
        o = tg.sigmoid(tg.linear(h, p["W_o"]) + tg.linear(x[t], p["U_o"]) + p["b_o"])
        c = f * c + i * g
        h = o * np.tanh(c)
        total = total + np.sum(weights[t] * h)
    return total


def gru(p: dict[str, Any], x: Any, weights: Any) -> Any:
    """The GRU that resets after the product; z keeps the past."""
    h, total = p["h0"], 0.0
    for t in tg.steps(len(x)):
        r = tg.sigmoid(tg.linear(h, p["W_r"]) + tg.linear(x[t], p["U_r"]) + p["b_r"])
        z = tg.sigmoid(tg.linear(h, p["W_z"]) + tg.linear(x[t], p["U_z"]) + p["b_z"])
        n = np.tanh(r * (tg.linear(h, p["W_n"]) + p["c_n"]) + tg.linear(x[t], p["U_n"]) + p["b_n"])
        h = (1 - z) * n + z * h
        total = total + np.sum(weights[t] * h)
    return total


LOSSES: dict[str, Callable[..., Any]] = {"RNN": rnn, "LSTM": lstm, "GRU": gru}


def parameters(case: Problem) -> Arrays:
    """The gates' weights apart, each as it stands in front of a column."""
    apart = {}
    for name, value in case.parameters.items():
        if name == "c":
            apart["c_n"] = value
        else:
            parts = np.split(value, len(GATES[case.cell]), axis=-1)
            apart |= {
                f"{name}_{g}": np.ascontiguousarray(part.T) for g, part in zip(GATES[case.cell], parts, strict=True)
            }
    return apart | case.states


def stacked(case: Problem, gradients: Arrays) -> Arrays:
    """Back into the form of the problem."""
    names = [name for name in case.parameters if name != "c"]
    found = {
        name: np.concatenate([np.asarray(gradients[f"{name}_{g}"]).T for g in GATES[case.cell]], axis=-1)
        for name in names
    }
    inner = {"c": np.asarray(gradients["c_n"])} if "c" in case.parameters else {}
    return found | inner | {name: np.asarray(gradients[name]) for name in case.states}
