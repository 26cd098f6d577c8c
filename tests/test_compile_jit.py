"""The jitted executor gives what the numpy executor gives, whatever a model is called, and says what it cannot do.

"Units" are multiples of the dtype's epsilon times the largest entry of an array: both executors add the same terms in
another order.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.compile_losses import LOSSES, inputs
from tests.compile_poison import poisoned  # noqa: F401
from tests.sweep import sample
from tinygrad_rnn.compiler import compile
from tinygrad_rnn.compiler.jit import cache, emit_jit, run_jit
from tinygrad_rnn.compiler.planning.plan import Buffer, Instr, MemRef, Once, Plan
from tinygrad_rnn.core.errors import MissingExtraError

numba = pytest.importorskip("numba")
pytest.importorskip("scipy")
mpmath = pytest.importorskip("mpmath")

UNITS = 64


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv(cache.VARIABLE, str(folder))
        yield folder


def rnn(p: dict[str, Any], x: Any, weights: Any) -> Any:
    h, total = p["h0"], 0.0
    for t in tg.steps(len(x)):
        h = np.tanh(tg.linear(h, p["W"]) + tg.linear(x[t], p["U"]) + p["b"])
        total = total + np.sum(weights[t] * h)
    return total


def lstm(p: dict[str, Any], x: Any, weights: Any) -> Any:
    h, c, total = p["h0"], 0.0 * p["h0"], 0.0
    for t in tg.steps(len(x)):
        i, f, o = (tg.sigmoid(tg.linear(h, p[f"W_{g}"]) + tg.linear(x[t], p["U"]) + p["b"]) for g in "ifo")
        c = f * c + i * np.tanh(tg.linear(h, p["W"]) + tg.linear(x[t], p["U"]))
        h = o * np.tanh(c)
        total = total + np.sum(weights[t] * h)
    return total


def gru(p: dict[str, Any], x: Any, weights: Any) -> Any:
    h, total = p["h0"], 0.0
    for t in tg.steps(len(x)):
        r, z = (tg.sigmoid(tg.linear(h, p[f"W_{g}"]) + tg.linear(x[t], p["U"]) + p["b"]) for g in "if")
        n = np.tanh(r * tg.linear(h, p["W"]) + tg.linear(x[t], p["U"]))
        h = (1 - z) * n + z * h
        total = total + np.sum(weights[t] * h)
    return total


def given(H: int, B: int, D: int, T: int, dtype: str) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(T)
    shapes = {"W": (H, H), "U": (H, D), "b": (H,), "h0": (B, H)} | {f"W_{g}": (H, H) for g in "ifo"}
    p = {name: 0.4 * rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}  # far from chaos
    return p, rng.normal(size=(T, B, D)).astype(dtype), rng.normal(size=(T, B, H)).astype(dtype)


def units(found: Any, wanted: Any, dtype: str) -> float:
    wanted = np.asarray(wanted)
    return float(np.max(np.abs(found - wanted)) / (np.finfo(dtype).eps * max(np.max(np.abs(wanted)), 1e-30)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "B", "dtype"),
    sample([(rnn, 17, "float64"), (lstm, 3, "float64"), (gru, 17, "float32"), (lstm, 1, "float32")], 2, "executors"),
    ids=lambda x: getattr(x, "__name__", str(x)),
)
def test_both_executors_agree_for_any_length(loss: Callable[..., Any], B: int, dtype: str) -> None:
    by_numpy, by_jit = (compile(tg.value_and_grad(loss), executor=name) for name in ("numpy", "jit"))
    for T in (50, 3, 2, 1):
        arguments = given(5, B, 4, T, dtype)
        (value, gradients), (found, theirs) = by_numpy(*arguments), by_jit(*arguments)
        scale = np.abs(arguments[2]).sum() * np.finfo(dtype).eps
        assert abs(found - value) <= UNITS * scale
        for name, gradient in gradients.items():
            assert theirs[name].dtype == gradient.dtype and theirs[name].shape == gradient.shape
            assert units(theirs[name], gradient, dtype) <= UNITS, (name, T)
    assert by_jit.recordings == by_numpy.recordings


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(["both directions", "sliced gates"], 1, "machine code"))
def test_parts_and_stacks_have_machine_code(name: str) -> None:
    loss, p = LOSSES[name]
    by_numpy, by_jit = (compile(tg.value_and_grad(loss), executor=executor) for executor in ("numpy", "jit"))
    for T in (7, 2):
        (value, gradients), (found, theirs) = by_numpy(p, inputs(T)), by_jit(p, inputs(T))
        assert units(found, value, "float64") <= UNITS
        assert max(units(theirs[key], gradients[key], "float64") for key in gradients) <= UNITS


def classified(p: dict[str, Any], x: Any, targets: Any) -> Any:
    h, total = p["h0"], 0.0
    for t in tg.steps(len(x)):
        h = np.tanh(tg.linear(h, p["W"]) + tg.linear(x[t], p["U"]) + p["b"])
        o = tg.linear(h, p["W_o"])
        total = total + np.sum(tg.cross_entropy(o, targets[t])) + np.sum(tg.softmax(o) * tg.log_softmax(o))
        total = total + np.sum(np.exp(o) * tg.logsumexp(o, axis=-1, keepdims=True))
    return total


@pytest.mark.slow
def test_classes_have_machine_code_and_a_wrong_number_is_an_error() -> None:
    p, x, _ = given(5, 3, 4, 6, "float64")
    targets = np.random.default_rng(0).integers(5, size=(6, 3))
    by_numpy, by_jit = (compile(tg.value_and_grad(classified), executor=name) for name in ("numpy", "jit"))
    (value, gradients), (found, theirs) = by_numpy(p, x, targets), by_jit(p, x, targets)
    assert units(found, value, "float64") <= UNITS
    assert max(units(theirs[name], gradients[name], "float64") for name in ("W", "U", "W_o", "h0")) <= UNITS
    targets[2, 1] = 5
    with pytest.raises(tg.ShapeError, match="targets run from 0 to 4, but one is 0 or 5"):
        by_jit(p, x, targets)  # what the kernels refuse is told as the uncompiled function tells it


# -- plans by hand: one instruction at a time -------------------------------------------------------------------------
#: operations whose arguments have to be positive, or small
DOMAINS = {"log": (0.1, 3), "sqrt": (0.1, 3), "log1p": (-0.5, 3), "power": (0.1, 3), "power_constant": (0.1, 3)}


def entry_by_entry(dtype: str) -> tuple[Plan, list[str], list[np.ndarray]]:
    from tinygrad_rnn.compiler.planning.plan import ELEMENTWISE

    rng = np.random.default_rng(0)
    names, body, arguments, values, outputs = sorted(ELEMENTWISE), [], [], [], []
    for name in names:
        arity = 2 if name in BINARY else 1
        low, high = DOMAINS.get(name, (-3, 3))
        ins = [Buffer(f"{name}{k}", (3, 4), np.dtype(dtype), kind="argument") for k in range(arity)]
        arguments += ins
        values += [rng.uniform(low, high, (3, 4)).astype(dtype) for _ in ins]
        out = MemRef(Buffer(name, (3, 4), np.dtype(dtype), kind="result"))
        body.append(Instr(name, out, tuple(MemRef(b) for b in ins), {"n": 1.5} if name == "power_constant" else {}))
        outputs.append(out)
    return Plan([Once(body)], arguments, [out.buffer for out in outputs], outputs), names, values


BINARY = {"add", "subtract", "multiply", "divide", "greater", "equal", "maximum", "minimum", "logaddexp", "power"}


@pytest.mark.slow
def test_every_operation_entry_by_entry_has_a_form() -> None:
    from tinygrad_rnn.core.primitive import PRIMITIVES

    plan, names, values = entry_by_entry("float64")
    found = run_jit.JitRunner(plan)(values, 0)
    rest = iter(values)
    for name, result in zip(names, found, strict=True):
        operands = [next(rest) for _ in range(2 if name in BINARY else 1)]
        params = {"n": 1.5} if name == "power_constant" else {}
        wanted = PRIMITIVES[name].forward(*operands, **params)
        np.testing.assert_allclose(result, wanted, rtol=1e-14, atol=1e-15, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tanh_and_exp_are_within_three_units_in_the_last_place(dtype: str) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 3, 4000), 10.0 ** rng.uniform(-12, 1.2, 2000), [0.0, -0.0, 80.0, -80.0]])
    x = np.concatenate([x, [np.inf, -np.inf, np.nan]]).astype(dtype)
    place = Buffer("x", x.shape, x.dtype, kind="argument")
    outs = [MemRef(Buffer(name, x.shape, x.dtype, kind="result")) for name in ("tanh", "exp", "sigmoid")]
    body = [Instr(out.buffer.name, out, (MemRef(place),)) for out in outs]
    tanh, exp, sigmoid = run_jit.JitRunner(Plan([Once(body)], [place], [out.buffer for out in outs], outs))([x], 0)
    with mpmath.workdps(40):
        for found, exact, ends in ((tanh, mpmath.tanh, (1, -1)), (exp, mpmath.exp, (np.inf, 0))):
            true = [exact(mpmath.mpf(float(v))) for v in x[:-3]]
            gap = np.array([float(abs(mpmath.mpf(float(a)) - b)) for a, b in zip(found, true, strict=False)])
            assert np.max(gap / np.spacing(np.abs(np.array(true, float)).astype(dtype))) <= 3
            assert tuple(found[-3:-1]) == ends and np.isnan(found[-1])
        true = [1 / (1 + mpmath.exp(-mpmath.mpf(float(v)))) for v in x[:-3]]
        absolute = [float(abs(mpmath.mpf(float(a)) - b)) for a, b in zip(sigmoid, true, strict=False)]
    assert max(absolute) <= 1.5 * np.finfo(dtype).eps
    assert np.array_equal(np.signbit(tanh[:-1]), np.signbit(x[:-1]))


def test_exp_reaches_infinity_and_the_smallest_numbers() -> None:
    x = np.array([709.5, 710.0, -708.5, -740.0, -746.0])
    place, out = Buffer("x", (5,), x.dtype, kind="argument"), MemRef(Buffer("y", (5,), x.dtype, kind="result"))
    (found,) = run_jit.JitRunner(Plan([Once([Instr("exp", out, (MemRef(place),))])], [place], [out.buffer], [out]))(
        [x], 0
    )
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(found, np.exp(x), rtol=1e-13, atol=5e-324)


def test_large_products_cut_into_small_ones_are_the_same_products() -> None:
    from tinygrad_rnn.compiler.jit import kernels

    rng = np.random.default_rng(0)
    address = kernels.blas("dgemm")
    for m, n, k in ((70, 150, 90), (8, 130, 200)):
        for ta, tb in ((kernels.NO, kernels.NO), (kernels.YES, kernels.YES)):
            a, b = rng.normal(size=(m, k)), rng.normal(size=(k, n))
            left = np.asfortranarray(a if ta == kernels.NO else a.T)
            right = np.asfortranarray(b if tb == kernels.NO else b.T)
            c = np.full((m, n), np.nan, order="F")
            leading = [x.shape[0] for x in (left, right, c)]
            kernels.product(
                address, ta, tb, m, n, k, left.ctypes.data, leading[0], right.ctypes.data, leading[1], 0.0, 1.0,
                c.ctypes.data, leading[2], 8, 100_000,
            )  # fmt: skip
            np.testing.assert_allclose(c, a @ b, rtol=0, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_product_with_one_column_or_row_is_numpys_whichever_way_its_matrices_lie(dtype: str) -> None:
    rng, kind = np.random.default_rng(0), np.dtype(dtype)
    values: list[np.ndarray] = []
    arguments: list[Buffer] = []
    body: list[Instr] = []

    def operand(rows: int, columns: int, turned: bool) -> MemRef:
        shape = (columns, rows) if turned else (rows, columns)
        arguments.append(Buffer(f"p{len(arguments)}", shape, kind))
        values.append(rng.normal(size=shape).astype(kind))
        return MemRef(arguments[-1], T=turned)

    for m, n, k in ((7, 1, 5), (1, 6, 5), (1, 1, 4), (3, 1, 1), (1, 3, 1), (1, 1, 1)):
        for turned in ((False, False), (True, False), (False, True), (True, True)):
            ins = operand(m, k, turned[0]), operand(k, n, turned[1])
            body.append(Instr("dot", MemRef(Buffer(f"g{len(body)}", (m, n), kind, kind="result")), ins))
    plan = Plan([Once(body)], arguments, [i.out.buffer for i in body], [i.out for i in body])
    for found, instr in zip(run_jit.JitRunner(plan)(values, 0), body, strict=True):
        a, b = (values[arguments.index(ref.buffer)] for ref in instr.refs)
        expected = (a.T if instr.refs[0].T else a) @ (b.T if instr.refs[1].T else b)
        np.testing.assert_allclose(found, expected, rtol=0, atol=20 * np.finfo(kind).eps)


def test_a_vector_is_read_as_a_row_and_as_a_column_in_one_loop() -> None:
    kind, x, v = np.dtype(float), np.arange(4.0).reshape(2, 2), np.array([5.0, 7.0])
    arguments = [Buffer("p0", (2, 2), kind, kind="argument"), Buffer("p1", (2,), kind, kind="argument")]
    matrix, row, column = MemRef(arguments[0]), MemRef(arguments[1]), MemRef(arguments[1], view=(2, 1))
    outs = [MemRef(Buffer(f"g{n}", (2, 2), kind, kind="result")) for n in range(3)]
    body = [Instr("multiply", outs[0], (matrix, row)), Instr("copy", outs[1], (column,))]
    body.append(Instr("add", outs[2], (column, row)))
    found = run_jit.JitRunner(Plan([Once(body)], arguments, [out.buffer for out in outs], outs))([x, v], 0)
    for result, wanted in zip(found, (x * v, v[:, None] + 0 * x, v[:, None] + v), strict=True):
        np.testing.assert_array_equal(result, wanted)


# -- the text ---------------------------------------------------------------------------------------------------------
HOSTILE = ["__import__('os').system('true')", "x\n    raise SystemExit", '"""', "gemm", "run", "Ω", "lambda: 0"]


def test_no_name_of_the_user_reaches_the_generated_text() -> None:
    def loss(p: dict[str, Any], x: Any) -> Any:
        h = 0.0
        for t in tg.steps(len(x)):
            h = sum((np.tanh(p[name] * x[t] + h) for name in HOSTILE), 0.0)
        return np.sum(tg.name(HOSTILE[1], h))

    p = {name: tg.tensor(np.full(3, 0.1), name=name) for name in HOSTILE}
    fast = compile(tg.value_and_grad(loss))
    fast({name: leaf.value for name, leaf in p.items()}, np.ones((6, 3)))
    for n, buffer in enumerate([*fast.plan.arguments, *fast.plan.buffers]):
        buffer.name = buffer.label = HOSTILE[n % len(HOSTILE)]
    text, *_ = emit_jit.emit(fast.plan)
    body = text.partition("@njit")[2]
    assert re.fullmatch(r"[\w\s.,:()+\-*/%\[\]=<>!\"'{}]*", body)
    variables = r"\b(?:[abcvotsijklqw]|low|high)\d+\b"
    assert set(re.findall(r"[A-Za-z_]\w*", re.sub(variables, "", body))) <= OWN_WORDS


OWN_WORDS = {
    *("void", "intp", "cache", "True", "fastmath", "contract", "nsz", "error_model", "numpy", "def", "run", "N", "at"),
    *(
        "sgemm",
        "dgemm",
        "sgemv",
        "dgemv",
        "gemv",
        "limit",
        "kernels",
        "place4",
        "place8",
        "for",
        "in",
        "range",
        "get",
        "put",
        "tanh4",
        "tanh8",
    ),
    *("total4", "total8", "turn4", "turn8", "gemm", "product", "NO", "YES", "min", "max", "if", "t", "i", "j", "np"),
}


def test_a_plan_with_other_operations_is_run_by_numpy_and_says_which() -> None:
    def loss(p: Any, x: Any) -> Any:
        h = 0.0 * p
        for t in tg.steps(len(x)):
            h = np.cumsum(h * p + x[t])
        return np.sum(h)

    fast, x = compile(tg.value_and_grad(loss), executor="jit"), np.ones((9, 3))
    value, grad = fast(np.ones(3), x)
    expected, slope = tg.value_and_grad(loss)(np.ones(3), x)
    np.testing.assert_allclose([value, *grad], [expected, *slope], rtol=1e-12)
    assert fast.forms == ["folded (by numpy: the jitted executor has no form for the operation cumsum)"]


def test_without_numba_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinygrad_rnn.compiler.jit.kernels", None)
    monkeypatch.delattr(sys.modules["tinygrad_rnn.compiler.jit"], "kernels", raising=False)
    with pytest.raises(MissingExtraError, match=r"tinygrad-rnn\[jit\]"):
        run_jit._kernels.__wrapped__()


#: gradients through classes in the dtypes it is told, one after the other, against the eager ones
BOTH = """
import sys
import numpy as np
import tinygrad_rnn as tg

def loss(p, x, y):
    h, total = np.zeros((1, 7), x.dtype), 0.0
    for t in tg.steps(len(x)):
        h = np.tanh(tg.linear(h, p["W"]) + tg.linear(x[t], p["U"]))
        total = total + np.sum(tg.cross_entropy(tg.linear(h, p["V"]), y[t]))
    return total

for dtype in sys.argv[1:]:
    rng = np.random.default_rng(0)
    p = {name: rng.normal(size=shape).astype(dtype) for name, shape in dict(W=(7, 7), U=(7, 5), V=(5, 7)).items()}
    x, y = rng.normal(size=(6, 1, 5)).astype(dtype), rng.integers(5, size=(6, 1))
    fast = tg.compile(tg.value_and_grad(loss), executor="jit")
    found, expected = fast(p, x, y)[1], tg.grad(loss)(p, x, y)
    assert "softmax" in fast.source()
    for name in p:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-3, atol=1e-5)
"""


@pytest.mark.slow
def test_what_other_processes_compiled_is_not_taken_for_something_else(tmp_path):
    environment = os.environ | {"TINYGRAD_RNN_CACHE": str(tmp_path)}
    for dtypes in (["float32"], ["float64"], ["float32", "float64"]):
        done = subprocess.run([sys.executable, "-c", BOTH, *dtypes], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_what_is_compiled_is_found_again(own_cache: Path) -> None:
    assert list(own_cache.glob("plan_*/__pycache__/plan_*.nbi"))
