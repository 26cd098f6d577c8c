"""A function carried out entry by entry, in place, is the function: whatever it reads after what it replaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.compiler import entrywise_functions
from tinygrad_rnn.compiler.entrywise_functions import Entrywise

#: functions of the arrays a, b, c and the numbers k, n
FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "one replaced": lambda x, k: {"a": x["a"] - k["k"] * x["b"]},
    "the old value is read later": lambda x, k: {"a": x["a"] + 1.0, "b": x["a"] * x["b"]},
    "a result is read later": lambda x, k: (lambda a: {"a": a, "b": x["b"] / (np.sqrt(a) + k["k"])})(x["a"] * x["a"]),
    "two change places": lambda x, k: {"a": x["b"], "b": x["a"]},
    "all move on": lambda x, k: {"a": x["b"], "b": x["c"], "c": x["a"] + x["b"]},
    "one result twice": lambda x, k: (lambda y: {"a": y, "b": y})(x["a"] + x["b"]),
    "a number alone": lambda x, k: {"a": k["k"] * 2.0, "b": 0.5},
    "nothing": lambda x, k: {},
    "numbers first": lambda x, k: {"a": k["k"] / (1.0 - k["k"] ** k["n"]) * x["a"]},
    "many in between": lambda x, k: {"c": (x["a"] + x["b"]) * (x["a"] - x["b"]) / ((x["c"] + x["a"]) * (x["b"] + 3.0))},
    "largest and smallest": lambda x, k: {"a": np.minimum(np.maximum(x["a"], -k["k"]), k["k"])},
    "powers": lambda x, k: {"a": x["a"] ** 3 + np.tanh(x["b"])},
}
NAMES = ["a", "b", "c"]


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["numpy", "jit"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_in_place_and_in_portions_it_is_the_function(
    name: str, dtype: str, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if executor == "jit":
        pytest.importorskip("numba", reason="numba is not installed: pip install -e '.[jit]'")
        if dtype == "float32" and name not in ("all move on", "numbers first"):
            pytest.skip("machine code differs by its dtype in two of them only")
    monkeypatch.setattr(entrywise_functions, "PORTION", 5)
    kind, numbers = np.dtype(dtype), {"k": 0.3, "n": 3.0}
    made = Entrywise(FUNCTIONS[name], NAMES, [*numbers], kind, executor)
    for length in (0, 1, 5, 12):
        rng = np.random.default_rng(length)
        arrays = {key: rng.uniform(0.5, 1.0, length).astype(kind) for key in NAMES}
        wanted = {key: value.copy() for key, value in arrays.items()}
        for key, value in FUNCTIONS[name]({k: v.copy() for k, v in arrays.items()}, numbers).items():
            wanted[key][:] = value
        made([*arrays.values()], [*numbers.values()])
        for key in NAMES:
            np.testing.assert_allclose(arrays[key], wanted[key], rtol=8 * np.finfo(kind).eps, atol=0, err_msg=key)


@pytest.mark.parametrize(
    "function",
    [lambda x, k: {"a": x["a"] - np.sum(x["a"])}, lambda x, k: {"a": np.cumsum(x["a"])}],
    ids=["sum", "cumsum"],
)
def test_what_sees_other_entries_is_refused(function: Any) -> None:
    with pytest.raises(tg.GraphError, match="sum is no operation entry by entry"):
        Entrywise(function, NAMES, ["k"], np.dtype(float))


def test_a_decision_by_a_number_is_refused_with_its_line() -> None:
    with pytest.raises(tg.CompileError, match="test_compile_entries"):
        Entrywise(lambda x, k: {"a": x["a"] if k["k"] > 0 else x["b"]}, NAMES, ["k"], np.dtype(float))


def test_numbers_are_infinite_where_numpys_are() -> None:
    made = Entrywise(lambda x, k: {"a": x["a"] * (1.0 / k["k"])}, NAMES, ["k"], np.dtype(float))
    arrays = [np.ones(2) for _ in NAMES]
    with np.errstate(divide="ignore"):
        made(arrays, [0.0])
    assert np.isinf(arrays[0]).all()
