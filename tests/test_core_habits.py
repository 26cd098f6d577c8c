"""What numpy's and torch's users do without thinking: it works as there, or an error says how it is written here."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.core.errors import kind_of
from tinygrad_rnn.core.spellings import SPELLINGS

M = np.array([[0.5, -1.5, 2.0], [1.0, 0.25, -0.75]])
x, one, fixed = tg.tensor(M), tg.tensor(1.25), tg.tensor(M, requires_grad=False)


# -- as expected ---------------------------------------------------------------------------------------------------
def test_a_scalar_is_formatted_as_a_number():
    assert f"{one:.3f} {one:8.1e} {np.sum(x):+}" == "1.250  1.2e+00 +1.5"
    assert f"{one}" == str(one)
    with pytest.raises(TypeError, match="format"):
        f"{x:.3f}"


def test_what_nobody_differentiates_is_an_array_where_one_is_wanted():
    assert np.asarray(fixed).tolist() == M.tolist()
    np.testing.assert_allclose(fixed * 2.0, 2.0 * M)
    assert np.array([fixed[0, 0], 2.0]).tolist() == [0.5, 2.0]
    assert (float(fixed[1, 0]), round(one, 1)) == (1.0, 1.2)
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(fixed)[0] = 1.0
    assert np.array(fixed, dtype=np.float32).dtype == np.float32


METHODS = {
    "astype": (np.float32,), "clip": (-1.0, 1.0), "argmax": (), "argmin": (1,), "copy": (), "round": (1,), "all": (),
    "any": (0,), "cumprod": (1,), "cumsum": (), "std": (0,), "take": ([0, 2], 1), "flatten": (), "ravel": ("F",),
    "swapaxes": (0, 1), "repeat": (2, 1), "trace": (), "diagonal": (1,), "dot": (M.T,), "reshape": (3, -1),
    "mean": (-1,),
    "transpose": (-1, 0), "tolist": (), "max": (0,), "squeeze": (), "nonzero": (), "argsort": (0,), "prod": (),
    "var": (),
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_those_of_an_array(name):
    found, expected = (getattr(a, name)(*METHODS[name]) for a in (x, M))
    if name == "tolist":
        assert found == expected
    else:
        np.testing.assert_allclose(getattr(found, "value", found), expected)


def test_methods_that_an_array_has_otherwise():
    assert x.sort(axis=1).numpy().tolist() == np.sort(M, 1).tolist()  # an array is sorted in place
    assert x.mT.shape == (3, 2)
    assert x.reshape(3, 2, order="F").numpy().tolist() == M.reshape((3, 2), order="F").tolist()


@pytest.mark.parametrize("index", [None, ..., (), (None, ...), (None, None)], ids=str)
def test_a_scalar_takes_the_indices_an_array_of_no_axes_takes(index):
    assert one[index].shape == np.float64(1.25)[index].shape
    assert tg.grad(lambda v: np.sum(v[index]) ** 2)(1.25) == 2.5


def test_division_with_rest():
    for a, b in ((x, 0.7), (7.0, x), (x, x[0])):
        plain = [getattr(v, "value", v) for v in (a, b)]
        rest, times = a % b, a // b
        np.testing.assert_allclose(rest.value, plain[0] % plain[1])
        np.testing.assert_allclose(times.value, plain[0] // plain[1])
        assert [part.op for part in divmod(a, b)] == [times.op, rest.op]
    # d/da (a mod b) = 1 and d/db (a mod b) = -floor(a / b)
    assert tg.grad(lambda a, b: a % b, argnums=(0, 1))(7.5, 2.0) == (1.0, -3.0)
    assert tg.grad(lambda a: a // 2.0 + a)(7.5) == 1.0


def test_folds_of_ufuncs_run_over_the_first_axis():
    for ufunc in (np.add, np.multiply, np.maximum, np.minimum):
        np.testing.assert_allclose(ufunc.reduce(x).value, ufunc.reduce(M))
        np.testing.assert_allclose(ufunc.reduce(x, 1, None, None, True).value, ufunc.reduce(M, 1, keepdims=True))
        np.testing.assert_allclose(ufunc.outer(x, M[0]).value, ufunc.outer(M, M[0]))
        np.testing.assert_allclose(ufunc.outer(M[0], x).value, ufunc.outer(M[0], M))
    np.testing.assert_allclose(np.add.reduce(x, axis=None).value, np.add.reduce(M, axis=None))
    np.testing.assert_allclose(np.add.accumulate(x).value, np.add.accumulate(M))
    np.testing.assert_allclose(np.multiply.accumulate(x, axis=1).value, np.multiply.accumulate(M, axis=1))
    assert np.logical_and.reduce(x).tolist() == [True, True, True]


def test_defaults_spelled_out_say_nothing_new():
    np.testing.assert_array_equal(np.sum(x, None, None, None, False).value, np.sum(M))
    np.testing.assert_array_equal(np.add(x, 1.0, casting="same_kind", order="C", where=True, subok=True).value, M + 1.0)
    np.testing.assert_array_equal(np.einsum("ij->j", x, optimize="greedy", order="K").value, M.sum(0))
    np.testing.assert_array_equal(np.sum(a=x, axis=0).value, M.sum(0))
    if np.__version__ >= "2":
        assert np.var(x, correction=1).item() == np.var(M, ddof=1)
    with np.errstate(divide="ignore"):
        assert np.var(tg.tensor(np.arange(3.0)), ddof=4).item() == np.inf


def test_a_matrix_without_columns_has_a_gradient_without_entries():
    assert tg.grad(lambda w: np.sum(tg.linear(np.zeros(0), w)))(np.ones((2, 0))).shape == (2, 0)
    assert x.item(1) == x.item(0, 1) == -1.5


def test_softmax_over_nothing_is_nothing():
    empty = tg.tensor(np.zeros((2, 0)))
    for f in (tg.softmax, tg.log_softmax):
        assert tg.gradients(np.sum(f(empty)), empty).shape == f(empty).shape == (2, 0)


# -- an error that says how it is written --------------------------------------------------------------------------
def test_names_of_torch_and_numpy_are_told_how_they_are_written_here():
    wanted_for = {"zeros": "tg.tensor(np.zeros", "tanh": "np.tanh", "cat": "np.concatenate", "svd": "np.linalg.svd"}
    for name, wanted in wanted_for.items():
        for asked in (tg, x):
            with pytest.raises(AttributeError, match=r"has no attribute") as told:
                getattr(asked, name)
            assert wanted in str(told.value)
    with pytest.raises(AttributeError, match=r"no attribute 'florp'$"):
        _ = x.florp


def test_what_a_tensor_does_not_have_is_not_listed():
    assert not hasattr(x, "zeros") and "zeros" not in dir(x) and "sum" in dir(x)


def test_no_hint_stands_for_what_is_there():
    assert [name for name in SPELLINGS if hasattr(tg, name) or hasattr(x, name)] == []


@pytest.mark.parametrize("f", [lambda: x.sum(dim=0), lambda: tg.softmax(x, dim=0), lambda: x.max(dim=1)])
def test_arguments_of_torch_are_told_numpys_names(f):
    with pytest.raises(TypeError, match=r"numpy's name is axis="):
        f()


def test_arrays_of_tensors_are_told_of_stack():
    for make, value in ((np.array, [one, one]), (np.asarray, [x, x]), (np.asarray, x)):
        with pytest.raises(tg.NotDifferentiableError, match=r"np\.stack"):
            make(value)
    with pytest.raises(tg.NotDifferentiableError, match=r"np\.dot\(a, t\)"):
        M.dot(x[0])
    h = np.zeros(2)
    with pytest.raises(ValueError) as told:
        h[0] = x[0, 0]
    assert "np.stack" in str(told.value.__cause__)


@pytest.mark.parametrize(
    ("f", "told"),
    [
        (lambda: np.sin(x, out=np.zeros((2, 3))), "out="), (lambda: np.floor(x, out=x), "out="),
        (lambda: np.add(x, 1.0, dtype=np.float32), "dtype="), (lambda: np.exp(x, where=M > 0), "where="),
        (lambda: np.reshape(x, 6, order="A"), "order='A'"), (lambda: np.pad(x, 1, mode="mean"), "mode='mean'"),
        (lambda: np.pad(x, 1, mode="linear_ramp"), "mode='linear_ramp'"),
        (lambda: np.pad(x, 1, mode="linear_ramp", end_values=2.0), "end_values="),
        (lambda: np.pad(x, 1, mode="reflect", reflect_type="odd"), "reflect_type='odd'"),
        (lambda: np.linalg.svd(x), "full_matrices=False"), (lambda: np.fft.fft(x), r"np\.cos"),
        (lambda: np.unique(x), "return_index"), (lambda: np.bincount([0, 1, 1], weights=x[0]), "np.where"),
        (lambda: np.linalg.norm(x, ord=one), "ord="), (lambda: np.quantile(M, x / 4.0), "q="),
        (lambda: np.linalg.vector_norm(x, ord=one), "ord="), (lambda: np.linalg.matrix_norm(x, ord=one), "ord="),
        (lambda: np.interp(x, [0.0, 1.0], [2.0, 3.0]), "searchsorted"), (lambda: np.polyval(x[0], 2.0), "Horner"),
        (lambda: np.convolve(x[0], x[1]), "shifted slices"), (lambda: np.linalg.lstsq(x, M[:, 0]), r"linalg\.pinv"),
        (lambda: np.linalg.qr(x), "cholesky"), (lambda: np.copyto(M.copy(), x), r"np\.where"),
        (lambda: np.linalg.eig(x), r"np\.linalg\.eigh"), (lambda: np.moveaxis(x, 5, 0), "out of bounds"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named(f, told):
    with pytest.raises((tg.NotDifferentiableError, tg.ReadOnlyError, tg.ShapeError), match=told):
        f()


@pytest.mark.parametrize("order", [1.0, 2.0, 2.5])
@pytest.mark.parametrize("norm", [np.linalg.norm, np.linalg.vector_norm, np.linalg.matrix_norm, np.linalg.cond])
def test_no_norm_of_plain_numbers_is_chosen_by_the_value_of_a_tensor(norm, order):
    """numpy compares `ord` with 1 and 2 and would go on without it: half of this gradient would be lost."""
    named = "p" if norm is np.linalg.cond else "ord"
    with pytest.raises(tg.NotDifferentiableError, match=r"np\.abs\(x\) \*\* t"):
        tg.grad(lambda t: t * norm(M[:, :2], **{named: t}))(order)


def test_the_norm_that_is_told_instead_has_a_derivative_by_its_order():
    def norm(t):
        return np.sum(np.abs(M) ** t) ** (1.0 / t)

    h = 1e-6
    assert tg.grad(norm)(2.0) == pytest.approx((norm(2.0 + h) - norm(2.0 - h)) / (2.0 * h), rel=1e-8)


@pytest.mark.parametrize("f", [np.sum, np.prod, np.max, np.min, np.nansum, np.add.reduce])
def test_what_a_fold_of_plain_numbers_starts_from_is_no_tensor(f):
    with pytest.raises(ValueError) as told:
        f(M, initial=one)
    assert "initial=" in str(told.value.__cause__)


def test_what_a_step_is_at_zero_has_a_gradient():
    x1, x2 = np.array([-1.0, 0.0, 0.0, 2.0, np.nan]), np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    by_x1, by_x2 = tg.grad(lambda x1, x2: np.sum(np.heaviside(x1, x2) * x2), argnums=(0, 1))(x1[:4], x2[:4])
    assert by_x1.tolist() == [0.0] * 4
    assert by_x2.tolist() == [0.0, 0.4, 0.6, 1.0]  # H + x2 dH/dx2
    np.testing.assert_array_equal(np.heaviside(x1, tg.tensor(x2)).value, np.heaviside(x1, x2))


@pytest.mark.slow
def test_types_are_named_with_their_package():
    torch = pytest.importorskip("torch")
    theirs = torch.ones(2)
    assert kind_of(theirs) == "torch.Tensor"
    with pytest.raises(tg.GraphError, match=r"not torch\.Tensor"):
        tg.gradients(one, theirs)
    with pytest.raises(tg.NotDifferentiableError, match=r"torch\.tanh takes torch's tensors.*np\.tanh"):
        torch.tanh(x)
    assert isinstance(torch.ones(3, dtype=torch.float64) * x, tg.Tensor)


def test_only_public_names_are_listed():
    import tinygrad_rnn

    listed = dir(tinygrad_rnn)
    assert not [name for name in listed if name.startswith("_")]
    assert not {"annotations", "import_module", "Any", "TYPE_CHECKING", "core", "cli"} & set(listed)
    assert {"tensor", "grad", "nn", "load", "Tensor", "compile"} <= set(listed)
    assert all(hasattr(tinygrad_rnn, name) for name in listed)


# -- what depends on order or on nan holds for other values --------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("executor", ["numpy", "jit"])
@pytest.mark.parametrize(
    "f",
    [
        lambda v: np.sum(np.sort(v) * np.arange(4.0)), np.median, lambda v: np.sum(np.quantile(v, [0.2, 0.9])),
        lambda v: np.nanmax(v * v), lambda v: np.sum(np.fmax(v, 0.1)), lambda v: np.sum(np.clip(v, -0.5, np.mean(v))),
        lambda v: np.sum(v % 0.3), lambda v: np.sum(np.take_along_axis(v, np.array([3, 1]), 0) ** 2),
    ],
    ids=["sort", "median", "quantile", "nanmax", "fmax", "clip", "mod", "take_along_axis"],
)  # fmt: skip
def test_compiled_for_one_order_they_are_right_for_another(f, executor):
    if executor == "jit":
        pytest.importorskip("numba")
    compiled = tg.compile(tg.value_and_grad(f), executor=executor)
    for seed in range(3):
        v = np.random.default_rng(seed).standard_normal(4)
        (value, slope), (wanted, right) = compiled(v), tg.value_and_grad(f)(v)
        np.testing.assert_allclose(value, wanted, rtol=1e-14)
        np.testing.assert_allclose(slope, right, rtol=1e-14)
