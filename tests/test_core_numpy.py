"""numpy's functions on Tensors: numpy's own values, right derivatives, every argument honoured or refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.core.signatures import spelled
from tinygrad_rnn.core.tensor import DIFFERENTIABLE
from tinygrad_rnn.verification.measure.gradcheck import richardson

from .numpy_calls import CALLS, Call

BY_FUNCTION = {
    name: list(calls)
    for name, calls in groupby(sorted(CALLS, key=lambda c: spelled(c.function)), lambda c: spelled(c.function))
}


def is_operand(x: Any) -> bool:
    return isinstance(x, np.ndarray | np.float64) and x.dtype.kind == "f"


def mapped(change: Callable[[Any], Any], tree: Any) -> Any:
    """The arguments with every float array among them changed, also inside of lists."""
    if isinstance(tree, list | tuple) and not isinstance(tree, str):
        return type(tree)([mapped(change, part) for part in tree])
    return change(tree) if is_operand(tree) else tree


def leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, list | tuple):
        for part in tree:
            yield from leaves(part)
    else:
        yield tree


def parts(result: Any) -> list[Any]:
    return list(leaves(result))


def weighed(results: list[Any]) -> Any:
    """One number that depends on every entry of the results."""
    rng = np.random.default_rng(3)
    return sum(np.sum(np.nan_to_num(x) * rng.standard_normal(np.shape(x))) for x in results)


def moved(args: Any, directions: list[Any], s: float) -> Any:
    supply = iter(directions)
    return mapped(lambda x: np.asarray(x + s * next(supply))[()], args)


def assert_right(call: Call, orders: int = 2) -> None:
    """Value, dtype and shape are numpy's; derivatives in a random direction are those of numpy's function."""
    f, args, options = call
    with np.errstate(all="ignore"):
        expected = parts(f(*args, **options))
        tensors = mapped(tg.tensor, args)
        got = parts(f(*tensors, **options))
    assert len(got) == len(expected)
    for ours, theirs in zip(got, expected, strict=True):
        value = np.asarray(ours.value if isinstance(ours, tg.Tensor) else ours)
        np.testing.assert_allclose(value, theirs, rtol=1e-11, atol=1e-13)
        assert value.dtype == np.asarray(theirs).dtype
    variables = [x for x in leaves(tensors) if isinstance(x, tg.Tensor)]
    rng = np.random.default_rng(5)
    directions = [rng.standard_normal(x.shape) for x in variables]
    loss = weighed(got)
    if not isinstance(loss, tg.Tensor) or not loss.requires_grad:
        slopes: list[Any] = [np.zeros(x.shape) for x in variables]
    else:
        slopes = tg.gradients(loss, variables, create_graph=True)
    assert [np.shape(g) for g in slopes] == [x.shape for x in variables]
    along = sum(np.sum(g * v) for g, v in zip(slopes, directions, strict=True))
    close(along, lambda s: float(weighed(parts(f(*moved(args, directions, s), **options)))))
    if orders == 2 and isinstance(along, tg.Tensor):

        def slope(s: float) -> float:
            at = mapped(tg.tensor, moved(args, directions, s))
            xs = [x for x in leaves(at) if isinstance(x, tg.Tensor)]
            found = tg.gradients(weighed(parts(f(*at, **options))), xs)
            return float(sum(np.sum(g * v) for g, v in zip(found, directions, strict=True)))

        second = tg.gradients(along, variables)
        close(sum(np.sum(g * v) for g, v in zip(second, directions, strict=True)), slope)


def close(got: Any, of: Callable[[float], float]) -> None:
    with np.errstate(all="ignore"):
        wanted, error = richardson(of, step=0.01, levels=5)
    got = float(got.item() if isinstance(got, tg.Tensor) else got)
    assert abs(got - wanted) <= 1e-7 * (1.0 + abs(wanted)) + 10.0 * error, (got, wanted, error)


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_FUNCTION)
@pytest.mark.filterwarnings("ignore")
def test_values_and_both_derivatives_are_numpys(name):
    for call in BY_FUNCTION[name]:
        try:
            call.function(*call.args, **call.options)
        except (ValueError, TypeError, IndexError, np.linalg.LinAlgError) as error:
            with pytest.raises((ValueError, TypeError, IndexError, np.linalg.LinAlgError)):
                call.function(*mapped(tg.tensor, call.args), **call.options)
            assert error
            continue
        try:
            # where a length is 0 its second derivative does not exist, and is told to be nan
            flat = name in ("np.std", "np.nanstd") and not np.all(call.function(*call.args, **call.options))
            assert_right(call, orders=1 if flat else 2)
        except Exception as error:
            raise AssertionError(f"{call}: {type(error).__name__}: {error}") from error


#: a float64 scalar is held as a Python float, which takes on the dtype of the array beside it
SCALARS_TAKE_THE_DTYPE = {"np.dot", "np.inner"}


@pytest.mark.skipif(np.__version__ < "2", reason="numpy 1 decides the dtype of scalars by their values")
@pytest.mark.parametrize("name", sorted(set(BY_FUNCTION) - SCALARS_TAKE_THE_DTYPE))
@pytest.mark.filterwarnings("ignore")
def test_single_precision_comes_out_as_numpy_says(name):
    for function, args, options in BY_FUNCTION[name]:
        single = mapped(lambda x: np.asarray(x, np.float32)[()], args)
        if takes(Call(function, single, options)):
            ours, theirs = (parts(function(*given, **options)) for given in (mapped(tg.tensor, single), single))
            assert [x.dtype for x in ours] == [x.dtype for x in theirs], (args, options)


def test_every_function_is_called():
    assert {spelled(f) for f in DIFFERENTIABLE} - set(BY_FUNCTION) == set()


# -- no argument is ever ignored -----------------------------------------------------------------------------------
#: values other than the default for an argument, by its name; the first that numpy itself takes is tried
VALUES: dict[str, list[Any]] = {
    "UPLO": ["U"], "a_max": [0.5], "a_min": [-0.5], "append": [0.5], "aweights": [np.array([1.0, 2.0, 0.5])],
    "axes": [(1, 0), (0, 1), [(-2, -1)] * 3, [(-2, -1), -1, -1], [-1, (-2, -1), -1], [-1, -1, ()], 1],
    "axis": [0, 1, -2], "axis1": [1], "axis2": [0, 2],
    "axisa": [0], "axisb": [0], "axisc": [0], "bias": [True], "casting": ["unsafe", "no"], "compute_uv": [False],
    "constant_values": [2.0], "copy": [False, True], "correction": [1], "ddof": [1], "decimals": [1],
    "descending": [True],
    "default": [0.25], "device": ["cpu"], "dtype": [np.float32, np.float64], "dx": [0.5], "edge_order": [2],
    "endpoint": [False],
    "full_matrices": [False], "fweights": [np.array([1, 2, 1])], "hermitian": [True],
    "include_initial": [True], "indexing": ["ij"], "interpolation": ["lower"], "initial": [0.5], "k": [1],
    "keepdims": [True], "kind": ["stable"],
    "max": [0.5], "mean": [0.25], "method": ["lower"], "min": [-0.5], "mode": ["clip", "edge", "mean"], "n": [2],
    "nan": [1.5], "neginf": [-3.0], "newshape": [(3, 2)],
    "num": [3], "offset": [1], "optimize": [True, "greedy"], "ord": ["nuc", 3, 1],
    "order": ["F", "C", "K", None], "out": [np.zeros((2, 3)), np.zeros(())], "overwrite_input": [True],
    "posinf": [3.0],
    "prepend": [0.5], "rcond": [0.3], "reflect_type": ["odd", "even"], "retstep": [True], "returned": [True],
    "rowvar": [False], "rtol": [0.3], "shape": [(2, 2)], "signature": ["dd->d", "d->d", "dd->dd"], "sparse": [True],
    "stable": [True], "start": [1, 2], "subok": [True, False], "to_begin": [0.5], "to_end": [0.5],
    "tol": [1e3], "upper": [True],
    "weights": [np.array([[1.0, 2.0, 0.5], [0.3, 1.0, 2.0]]), np.array([1.0, 2.0, 0.5])],
    "where": [np.array([[True, False, True], [False, True, True]])], "x": [np.array([0.0, 1.0, 3.0])],
    "y": [np.array([[0.3, 1.0, -0.5], [0.1, 0.2, 0.9]])], "stop": [1.0], "shift": [1],
}  # fmt: skip
#: arguments that have no other value than their default
ONE_VALUE = {("np.partition", "kind"), ("np.partition", "order"), ("np.sort", "order")}
ONE_VALUE |= {("np.reshape", "newshape")}  # of numpy 2.1 to 2.3: the old name of shape, never beside it
ONE_VALUE |= {(f"np.{name}", "axis") for name in ("matmul", "matvec", "vecmat")}
ONE_VALUE |= {(f"np.{name}", "keepdims") for name in ("matmul", "matvec", "vecmat")}
#: options that numpy passes on without naming them in a signature
PASSED_ON = {"np.pad": ["constant_values", "reflect_type"], "np.einsum": ["dtype", "order"]}
UFUNC = ["out", "casting", "order", "dtype", "subok", "signature"]


def optional_arguments(function: Any) -> list[str]:
    if isinstance(function, np.ufunc):
        return [*UFUNC, *(["axes", "axis", "keepdims"] if function.signature else ["where"])]
    try:
        signature = inspect.signature(function)
    except ValueError:
        return []  # written in C, before numpy 2.4
    named = [p.name for p in signature.parameters.values() if p.default is not p.empty and p.kind != p.POSITIONAL_ONLY]
    return named + PASSED_ON.get(spelled(function), [])


def given(call: Call) -> set[str]:
    if isinstance(call.function, np.ufunc):
        return set(call.options)
    try:
        return set(inspect.signature(call.function).bind(*call.args, **call.options).arguments)
    except ValueError:
        return set(call.options)


def takes(call: Call) -> bool:
    try:
        call.function(*call.args, **call.options)
    except (ValueError, TypeError, IndexError, AttributeError, RuntimeError, np.linalg.LinAlgError):
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_FUNCTION)
@pytest.mark.filterwarnings("ignore")
def test_every_argument_is_honoured_or_refused_by_name(name):
    calls = [c for c in BY_FUNCTION[name] if takes(c)]
    function = calls[0].function
    with_it = set().union(*map(given, calls))  # compared with numpy in the test above
    for argument in optional_arguments(function):
        if argument == "out":
            out = np.zeros(()) if getattr(function, "nout", 1) == 1 else (np.zeros(()),) * 2
            with pytest.raises(tg.NotDifferentiableError, match="out="):
                function(*mapped(tg.tensor, calls[0].args), **calls[0].options, out=out)
            continue
        tried = [
            changed
            for value in VALUES[argument]
            for c in calls
            if argument not in given(c) and takes(changed := Call(function, c.args, c.options | {argument: value}))
        ]
        assert tried or argument in with_it or (name, argument) in ONE_VALUE, f"{name} takes no known {argument}"
        for call in tried[:2]:
            try:
                got = function(*mapped(tg.tensor, call.args), **call.options)
            except tg.NotDifferentiableError as error:
                assert f"{argument}=" in str(error), f"{call}: {error!r}"
                continue
            if argument == "dtype":  # differences of single precision would say nothing
                assert np.__version__ < "2" or [x.dtype for x in parts(got)] == [
                    x.dtype for x in parts(function(*call.args, **call.options))
                ]
                del call.options["dtype"]
            assert_right(call, orders=1)
