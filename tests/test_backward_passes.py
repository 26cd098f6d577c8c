"""Ten backward passes as students write them, judged unchanged: right as they are, and with one mistake each.

The files of `backward_passes` were written before the judge was; a mistake is one replacement in their text.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_rnn as tg

FOLDER = Path(__file__).parent / "backward_passes"


def min_char_rnn(m: ModuleType) -> tg.Report:
    rng = np.random.default_rng(0)
    inputs = {"inputs": m.inputs, "targets": m.targets, "hprev": rng.normal(size=m.hprev.shape)}
    weights = {"Wxh": m.Wxh, "Whh": m.Whh, "Why": m.Why, "bh": m.bh, "by": m.by}
    names = ("loss", "dWxh", "dWhh", "dWhy", "dbh", "dby", None)
    return tg.verify_backward(m.lossFun, inputs=inputs, params=weights, names=names)


def assignment_rnn(m: ModuleType) -> tg.Report:
    return tg.verify_backward(m.rnn_forward, m.rnn_backward, rows(H=5))


def assignment_lstm(m: ModuleType) -> tg.Report:
    return tg.verify_backward(m.lstm_forward, m.lstm_backward, rows(H=5, gates=4))


def rows(H: int, gates: int = 1, N: int = 3, T: int = 4, D: int = 2) -> dict[str, np.ndarray]:
    """What the assignments are called with."""
    rng = np.random.default_rng(1)
    shapes = {"x": (N, T, D), "h0": (N, H), "Wx": (D, gates * H), "Wh": (H, gates * H), "b": (gates * H,)}
    return {name: rng.normal(size=shape) / 2 for name, shape in shapes.items()}


def dictionaries_rnn(m: ModuleType) -> tg.Report:
    rng = np.random.default_rng(2)
    shapes = {"Wax": (5, 3), "Waa": (5, 5), "Wya": (2, 5), "ba": (5, 1), "by": (2, 1)}
    parameters = {name: rng.normal(size=shape) / 2 for name, shape in shapes.items()}
    inputs = {"x": rng.normal(size=(3, 4, 6)), "a0": rng.normal(size=(5, 4)), "parameters": parameters}
    return tg.verify_backward(m.rnn_forward, m.rnn_backward, inputs)


def vectors(m: ModuleType) -> tg.Report:
    rng = np.random.default_rng(3)
    xs, ys = list(rng.normal(size=(5, 3))), list(rng.normal(size=(5, 2)))
    weights = {"U": (4, 3), "W": (4, 4), "V": (2, 4), "b": (4,), "c": (2,)}
    inputs = {"xs": xs, "ys": ys} | {name: rng.normal(size=shape) / 2 for name, shape in weights.items()}
    return tg.verify_backward(m.forward, m.backward, inputs, names=("dU", "dW", "dV", "db", "dc"))


def layer_class(m: ModuleType) -> tg.Report:
    rng = np.random.default_rng(4)
    net = m.RNN(3, 5, 2, rng)
    X, targets = list(rng.normal(size=(4, 6, 3))), list(rng.normal(size=(4, 6, 2)))
    return tg.verify_backward(net.loss, net.backward, {"X": X, "targets": targets}, params=net)


def single_precision_gru(m: ModuleType) -> tg.Report:
    rng = np.random.default_rng(5)
    X, h0, y = (rng.normal(size=shape).astype(np.float32) for shape in [(5, 3, 4), (3, 6), (3, 6)])
    return tg.verify_backward(m.gru_loss, m.gru_backward, {"p": m.init_params(4, 6), "X": X, "h0": h0, "y": y})


def many_to_one(m: ModuleType) -> tg.Report:
    net = m.RNN(4, 3)
    words = [np.eye(4)[:, [i]] for i in (0, 2, 1, 3, 2)]

    def backward() -> dict[str, np.ndarray]:
        y, _ = net.forward(words)
        d_y = m.softmax(y)
        d_y[1] -= 1
        return net.backprop(d_y)

    return tg.verify_backward(lambda: net.loss(words, 1), backward, params=net)


def language_model(m: ModuleType) -> tg.Report:
    net = m.RNNNumpy(7)
    x, y = [0, 3, 6, 2, 5, 1], [3, 6, 2, 5, 1, 4]
    names = ("dLdU", "dLdV", "dLdW")
    forward, backward = (lambda: net.calculate_total_loss([x], [y])), (lambda: net.bptt(x, y))
    return tg.verify_backward(forward, backward, params=net, names=names)


def parameter_objects(m: ModuleType) -> tg.Report:
    rng = np.random.default_rng(6)
    start = {"h_prev": rng.normal(size=(m.H_size, 1)), "C_prev": rng.normal(size=(m.H_size, 1))}
    inputs = {"inputs": [0, 2, 1, 3], "targets": [2, 1, 3, 0], **start}
    return tg.verify_backward(m.forward_backward, inputs=inputs, params=m.parameters, names=("loss", None, None))


class Mistake(NamedTuple):
    """A replacement in the text, the gradients that come out wrong, and what has to be said of it."""

    old: str
    new: str
    wrong: set[str]
    says: str


FLOWS_BACK = "what comes back from the next step, by way of `prev_h`, is not added"
CASES = {
    min_char_rnn: Mistake(
        "np.dot(Whh.T, dhraw)",
        "np.dot(Whh, dhraw)",
        {"dWxh", "dWhh", "dbh"},
        "`Whh` and its transpose are exchanged on the way back through `Whh @ hs[t-1]`",
    ),
    assignment_rnn: Mistake(
        "dnext_h = dh[:, t, :] + dprev_h", "dnext_h = dh[:, t, :]", {"dx", "dh0", "dWx", "dWh", "db"}, FLOWS_BACK
    ),
    assignment_lstm: Mistake(
        "df = dc * prev_c",
        "df = dc * next_c",
        {"dx", "dh0", "dWx", "dWh", "db"},
        "`next_c` stands for the factor `prev_c` on the way back into `f`",
    ),
    dictionaries_rnn: Mistake(
        "(1 - a_next**2) * da_next",
        "(1 - a_next) * da_next",
        {"dx", "da0", "dWax", "dWaa", "dba"},
        "the derivative `1 - y**2` of y = `a_next` is taken as `1 - y`",
    ),
    vectors: Mistake(
        "np.outer(dz, hs[t])", "np.outer(dz, hs[t + 1])", {"dW"}, "`h` stands for `h[t-1]` in the gradient of `W`"
    ),
    layer_class: Mistake(
        "dy = 2 * (self.y[t] - targets[t]) / N",
        "dy = 2 * (self.y[t] - targets[t])",
        {"dW_xh", "dW_hh", "db_h", "dW_hy", "db_y"},
        "this is 6 times the true gradient (6 is the length of axis 0 of X)",
    ),
    single_precision_gru: Mistake(
        "dr = drh * h * r * (1 - r)",
        "dr = drh * r * (1 - r)",
        {"dWz", "dWr", "dWn", "dUr"},
        "the factor `h[t-1]` is missing on the way back into `r`",
    ),
    many_to_one: Mistake(
        "temp @ self.last_hs[t].T",
        "temp.T @ self.last_hs[t]",
        {"dWhh"},
        "every entry is the same number: is it an inner product where an outer one belongs",
    ),
    language_model: Mistake(
        "bptt_truncate=100", "bptt_truncate=2", {"dU", "dW"}, "each error is walked back over 2 steps only"
    ),
    parameter_objects: Mistake(
        "di = dC * C_bar",
        "di = dC * C",
        {"dW_i", "db_i"},
        "`C` stands for the factor `C_bar` on the way back into `i`",
    ),
}
#: further mistakes in the same files: what is replaced by what, and what has to be said of it
FURTHER = [
    (min_char_rnn, "(1 - hs[t] * hs[t]) * dh", "(1 - hs[t]) * dh", "y = `hs[t]` is taken as `1 - y`"),
    (min_char_rnn, "dWhy += np.dot(dy", "dWhy = np.dot(dy", "only the first use of `Why` in `Why @ hs[t]`"),
    (min_char_rnn, "dbh += dhraw", "dbh += dh", "the gradient of `bh` is made with that of `hs[t]`"),
    (min_char_rnn, "dy) + dhnext", "dy) - dhnext", "from `Whh @ hs[t-1]` into `hs[t-1]` has the wrong sign"),
    (
        assignment_rnn,
        "np.sum(dtanh, axis=0)",
        "np.mean(dtanh, axis=0)",
        "divided by 3 (3 is the length of axis 0 of x)",
    ),
    (assignment_rnn, "dh0 = dprev_h", "dh0 = dnext_h", "this is the gradient of `next_h`, not of `h0`"),
    (assignment_rnn, "(1 - next_h**2)", "(1 - prev_h**2)", "y = `next_h` is taken at y = `prev_h`"),
    (assignment_rnn, "dtanh.dot(Wh.T)", "dtanh.dot(Wh)", "`Wh` and its transpose are exchanged"),
    (assignment_lstm, "dnext_c + dnext_h * o", "dnext_h * o", "by way of `prev_c`, is not added"),
    (assignment_lstm, "dprev_c = dc * f", "dprev_c = dc", "the factor `f` is missing on the way back into `prev_c`"),
    (assignment_lstm, "do * o * (1 - o)", "do * (1 - o)", "of y = `o` is taken as `1 - y`"),
    (
        assignment_lstm,
        "(di * i * (1 - i), df * f * (1 - f),",
        "(df * f * (1 - f), di * i * (1 - i),",
        "the blocks of `i` and `f` are exchanged in the gradient of `a`",
    ),
    (
        assignment_lstm,
        "        db += step[5]",
        "        db += step[5]\n        db[2 * H : 3 * H] = 0",
        "wrong in entries 10 to 14 (block 3 of 4: gate o) only",
    ),
    (single_precision_gru, "dh * (h - n) * z", "dh * (n - h) * z", "of y = `z` is taken as `y * (y - 1)`"),
    (single_precision_gru, "dh * (1 - z) *", "dh * z *", "`z` stands for the factor `1 - z` on the way back into `n`"),
    (single_precision_gru, '+ dr @ p["Ur"].T', "", "what comes back from `h[t-1] @ Ur` into `h[t-1]` is missing"),
    (many_to_one, "self.last_hs[t + 1] ** 2", "self.last_hs[t] ** 2", "y = `h` is taken at y = `h[t-1]`"),
    (parameter_objects, "np.copy(dC_next)", "np.zeros_like(dC_next)", "by way of `C_prev`, is not added"),
    (parameter_objects, "do = dh * tanh(C)", "do = dh * C", "`C` stands for the factor `tanh(C)`"),
    (vectors, "np.outer(dout, hs[t + 1])", "np.outer(dout, hs[t])", "`h[t-1]` stands for `h` in the gradient of `V`"),
]
each = pytest.mark.parametrize("judged", CASES, ids=lambda judged: judged.__name__)


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@each
def test_a_right_pass_is_judged_right_unchanged(judged):
    report = judged(imported(FOLDER / f"{judged.__name__}.py"))
    assert report.verdict == "PASS", str(report)


def with_mistake(judged: Any, old: str, new: str, folder: Path) -> tg.Report:
    text = (FOLDER / f"{judged.__name__}.py").read_text(encoding="utf-8")
    assert text.count(old) == 1
    (folder / f"{judged.__name__}_wrong.py").write_text(text.replace(old, new), encoding="utf-8")
    return judged(imported(folder / f"{judged.__name__}_wrong.py"))


@pytest.mark.slow
@pytest.mark.parametrize(("judged", "old", "new", "says"), FURTHER, ids=[case[2].strip() for case in FURTHER])
def test_mistakes_are_told_in_the_words_of_the_code(judged, old, new, says, tmp_path):
    report = with_mistake(judged, old, new, tmp_path)
    assert says in " ".join(row.explanation for row in report.failed), str(report)


@pytest.mark.slow
@each
def test_one_mistake_is_found_and_told(judged, tmp_path):
    mistake = CASES[judged]
    report = with_mistake(judged, mistake.old, mistake.new, tmp_path)
    assert report.verdict == "FAIL", str(report)
    assert {row.name for row in report.failed} >= mistake.wrong, str(report)
    told = " ".join(row.explanation for row in report.failed)
    assert mistake.says in told, str(report)
