"""Every layer and every option of it, compiled, is what it is without compiling: values, gradients; and its form."""

import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.compile_layers import ABSTRACT, ROWS
from tests.compile_poison import poisoned  # noqa: F401
from tests.sweep import sample
from tests.test_compile_equality import apart
from tinygrad_rnn import nn
from tinygrad_rnn.compiler import CompileError, compile

#: steps of a tile: some that do not divide the length, and as many as suit
CHUNKS = (1, 2, 3, 7, None)
LOSSES = {"cross_entropy", "nll_loss", "mse_loss", "binary_cross_entropy_with_logits", "omega"}


def test_every_exported_layer_and_loss_has_a_row() -> None:
    exported = {name for name, x in vars(nn).items() if inspect.isclass(x) and issubclass(x, nn.Module)}
    assert {name.split()[0] for name in ROWS} == (exported - ABSTRACT) | LOSSES


def furthest(
    name: str, sizes: tuple[int, int], calls: list[tuple[int, int]], seed: int, chunk: int | None = None
) -> Any:
    """The compiled function after some calls, each compared; its tiles of `chunk` steps."""
    row, rng = ROWS[name], np.random.default_rng(seed)
    nn.manual_seed(seed)
    module = row.make(*sizes)
    fast, eager = compile(tg.value_and_grad(row.loss)), tg.value_and_grad(row.loss)
    fast.chunk = chunk
    for T, B in calls:
        args = row.data(rng, T, B, *sizes)
        value, grads = eager(module, *args)
        found, fast_grads = fast(module, *args)
        assert apart(found, value) < 1e-12
        largest = max(float(np.max(np.abs(g), initial=0)) for g in grads.values())
        for key, g in grads.items():
            assert np.shape(fast_grads[key]) == np.shape(g)
            # an entry that is 0 but for rounding is compared with the others
            assert np.max(np.abs(fast_grads[key] - g), initial=0) <= 1e-12 * max(largest, 1e-12), key
    return fast


@pytest.mark.slow
@pytest.mark.parametrize("name", sample([name for name, row in ROWS.items() if row.form != "raises"], 45, "layers"))
def test_layers_compiled_equal_themselves(name: str) -> None:
    calls = [(5, 2), (2, 2), (5, 2)] if ROWS[name].form == "folded" else [(4, 2), (4, 2)]  # one compilation each
    fast = furthest(name, (3, 4), calls, 0, CHUNKS[list(ROWS).index(name) % len(CHUNKS)])
    assert all(form.startswith(ROWS[name].form) for form in fast.forms[:1]), fast.forms


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.form == "raises"])
def test_chance_and_decisions_raise_and_name_the_line(name: str) -> None:
    row = ROWS[name]
    with pytest.raises(CompileError, match=r"compile_layers.py:\d+, in "):
        compile(tg.value_and_grad(row.loss))(row.make(3, 4), *row.data(np.random.default_rng(0), 5, 2, 3, 4))


CHUNK = st.sampled_from(CHUNKS)
SIZES = st.tuples(st.integers(1, 4), st.integers(2, 5))
CALLS = st.lists(st.tuples(st.integers(1, 8), st.integers(1, 3)), min_size=1, max_size=3)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.sampled_from([name for name, row in ROWS.items() if row.form == "folded"]), SIZES, CALLS, CHUNK)
def test_all_sizes_lengths_and_batches(
    name: str, sizes: tuple[int, int], calls: list[tuple[int, int]], chunk: int | None
) -> None:
    furthest(name, sizes, calls, 1, chunk)


@settings(max_examples=6, deadline=None)
@given(st.sampled_from([name for name, row in ROWS.items() if row.form not in ("folded", "raises")]), SIZES, CALLS)
def test_all_sizes_of_what_is_flat(name: str, sizes: tuple[int, int], calls: list[tuple[int, int]]) -> None:
    furthest(name, sizes, calls[:2], 2)
