"""The engine's laws: what the graph records, what the edges of the domain give, what is refused and how."""

from __future__ import annotations

import gc
import warnings
import weakref

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.core.errors import GraphError, ShapeError
from tinygrad_rnn.core.primitive import PRIMITIVES


# -- multiplicity and repetition -----------------------------------------------------------------------------------
def test_a_node_used_twice_counts_twice():
    x = tg.tensor(3.0)
    (x * x).backward()
    assert x.grad == 6.0


def test_a_node_used_many_times_adds_up():
    x = tg.tensor(np.array([1.0, 2.0]))
    y = x
    for _ in range(10):
        y = y + x
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, [11.0, 11.0])


def test_backward_adds_to_the_gradients_as_in_torch():
    W, x = tg.tensor(np.eye(3), name="W"), tg.tensor(np.ones(3))
    h = tg.name("h", np.tanh(W @ x))
    loss = np.sum(h)
    loss.backward()
    first, held = W.grad.copy(), W.grad
    loss.backward()
    np.testing.assert_array_equal(W.grad, 2 * first)
    np.testing.assert_array_equal(h.grad, [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(held, first, "what somebody holds does not change")
    np.sum(W).backward()
    np.testing.assert_array_equal(W.grad, 2 * first + 1)
    W.grad = None
    np.sum(W).backward()
    np.testing.assert_array_equal(W.grad, np.ones((3, 3)))


def test_backward_fills_leaves_and_named_tensors_only():
    x = tg.tensor(2.0)
    h = tg.name("h", x * x)
    hidden = h * 3.0
    (hidden * h).backward()
    assert (x.grad, h.grad, hidden.grad) == (96.0, 24.0, None)


def test_gradient_does_not_alias_another_gradient():
    a, b = tg.tensor(np.ones(2)), tg.tensor(np.ones(2))
    np.sum(a + b).backward()
    a.grad[0] = 7.0
    np.testing.assert_array_equal(b.grad, [1.0, 1.0])


def test_what_the_output_does_not_depend_on_has_gradient_zero():
    x, y = tg.tensor(np.ones((2, 3))), tg.tensor(1.0)
    np.testing.assert_array_equal(tg.gradients(y * 2.0, x), np.zeros((2, 3)))


# -- depth and memory ----------------------------------------------------------------------------------------------
def test_a_long_chain_needs_no_recursion_and_leaves_nothing_behind():
    gc.collect()
    gc.disable()
    try:
        x = tg.tensor(1.0)
        y = x
        for _ in range(100_000):
            y = y * 1.0
        y.backward()
        assert x.grad == 1.0
        watch = weakref.ref(y)
        del y
        assert watch() is None, "dropping the output must free the graph at once"
        assert gc.collect() == 0, "nothing may be left to the cycle collector"
    finally:
        gc.enable()


# -- per-step gradients --------------------------------------------------------------------------------------------
def test_per_step_contributions_of_the_hand_checkable_case():
    # h[t] = w h[t-1], h[0] = .9, w = .2: dh[t]/dw through the local use is h[t-1] times what follows
    w, h = tg.tensor(0.2, name="w"), tg.tensor(0.9)
    states = [h]
    for _ in tg.steps(1, 4):
        h = tg.name("h", w * h)
        states.append(h)
    local = [tg.gradients(states[t], w, per_step=True)[t] for t in (1, 2, 3)]
    total = [tg.gradients(states[t], w) for t in (1, 2, 3)]
    np.testing.assert_allclose(local, [0.9, 0.18, 0.036], rtol=1e-15)
    np.testing.assert_allclose(total, [0.9, 0.36, 0.108], rtol=1e-15)


def test_per_step_contributions_sum_to_the_gradient():
    rng = np.random.default_rng(0)
    W, h = tg.tensor(rng.standard_normal((3, 3)), name="W"), tg.tensor(rng.standard_normal(3))
    for _ in tg.steps(1, 6):
        h = np.tanh(W @ h)
    loss = np.sum(h * h)
    parts = tg.gradients(loss, W, per_step=True)
    assert list(parts) == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(sum(parts.values()), tg.gradients(loss, W), rtol=1e-13)


# -- edges of the domain -------------------------------------------------------------------------------------------
def test_ties_share_the_cotangent_equally():
    x = np.array([1.0, 3.0, 3.0])
    np.testing.assert_array_equal(tg.grad(np.max)(x), [0.0, 0.5, 0.5])
    np.testing.assert_array_equal(tg.grad(lambda v: np.sum(np.maximum(v, 3.0)))(x), [0.0, 0.5, 0.5])


def test_values_at_zero_are_the_documented_ones():
    zero = np.zeros(2)
    np.testing.assert_array_equal(tg.grad(np.linalg.norm)(zero), zero)
    np.testing.assert_array_equal(tg.grad(np.std)(np.ones(3)), np.zeros(3))
    np.testing.assert_array_equal(tg.grad(lambda v: np.sum(np.abs(v)))(zero), zero)
    np.testing.assert_array_equal(tg.grad(lambda v: np.sum(tg.relu(v)))(zero), zero)
    assert tg.grad(np.sqrt)(0.0) == np.inf


@pytest.mark.parametrize(
    "f",
    [np.log, np.sqrt, np.reciprocal, lambda x: 1.0 / x, lambda x: x**-1.0],
    ids=["log", "sqrt", "reciprocal", "divide", "power"],
)
def test_scalars_give_numpys_infinities_and_nans(f):
    for x in (0.0, -1.0):
        with np.errstate(all="ignore"):
            expected = f(np.float64(x))
            got = f(tg.tensor(x))
            tg.gradients(got, got.inputs[0])
        np.testing.assert_equal(got.item(), float(expected))


@pytest.mark.parametrize(
    "x", [1000.0, -1000.0, np.array([1000.0, -1000.0]), np.array([1000.0, -1000.0], np.float32)], ids=str
)
@pytest.mark.parametrize(
    "f", [tg.sigmoid, tg.softplus, np.tanh, tg.relu, lambda v: tg.logsumexp(np.stack([v, v]), axis=0)]
)
def test_large_arguments_raise_no_spurious_warning(f, x):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        g = tg.grad(lambda v: np.sum(f(v)))(x)
    assert np.all(np.isfinite(g))


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
def test_empty_arrays_pass_through(shape):
    x = tg.tensor(np.ones(shape))
    loss = np.sum(np.tanh(x) * 2.0 + x)
    loss.backward()
    assert loss.item() == 0.0
    assert x.grad.shape == shape


def test_empty_inner_dimension_of_a_product():
    a, b = tg.tensor(np.ones((2, 0))), tg.tensor(np.ones((0, 3)))
    np.sum(a @ b).backward()
    assert (a.grad.shape, b.grad.shape) == ((2, 0), (0, 3))
    for x in (np.zeros(0), np.zeros((4, 0)), np.zeros((2, 3, 0))):
        assert tg.grad(lambda W, x=x: np.sum(tg.linear(x, W)))(np.ones((2, 0))).shape == (2, 0)
    for x in (np.zeros((0, 3)), np.zeros((2, 0, 3))):
        np.testing.assert_array_equal(
            tg.grad(lambda W, x=x: np.sum(tg.linear(x, W)))(np.ones((2, 3))), np.zeros((2, 3))
        )


def test_a_float64_scalar_is_a_python_float_and_a_float32_scalar_keeps_its_dtype():
    assert type(tg.tensor(np.float64(1.0)).value) is float
    assert type(np.sum(tg.tensor(np.ones(3))).value) is float
    x = tg.tensor(np.ones(3, np.float32))
    loss = np.sum(x * x)
    assert loss.dtype == np.float32
    loss.backward()
    assert x.grad.dtype == np.float32


def test_mixed_dtypes_follow_numpy_and_gradients_keep_the_inputs_dtype():
    a, b = tg.tensor(np.ones(2, np.float32)), tg.tensor(np.ones(2))
    loss = np.sum(a * b)
    assert (a * b).dtype == np.float64
    loss.backward()
    assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)


def test_broadcasting_is_undone_for_every_pair_of_shapes():
    rng = np.random.default_rng(1)
    for left, right in [
        ((2, 3), (3,)),
        ((2, 1), (1, 3)),
        ((), (2, 3)),
        ((4, 1, 3), (2, 1)),
        ((1,), (5,)),
        ((1, 1), ()),
    ]:
        a, b = tg.tensor(rng.standard_normal(left)), tg.tensor(rng.standard_normal(right))
        np.sum(a * b).backward()
        assert np.shape(a.grad) == left
        assert np.shape(b.grad) == right
        assert tg.check_grads(lambda u, v: u * v + u / (2.0 + np.tanh(v)), a.value, b.value)


# -- numpy habits --------------------------------------------------------------------------------------------------
def test_an_array_on_the_left_defers_to_the_tensor():
    x = tg.tensor(np.ones(2))
    for y in (np.ones(2) * x, np.float64(2.0) * x, np.ones((2, 2)) @ x, 1.0 - x, 2.0**x):
        assert isinstance(y, tg.Tensor)


def test_comparisons_and_rounding_are_plain_values():
    x = tg.tensor(np.array([0.2, 1.7]))
    assert isinstance(x > 1.0, np.ndarray)
    assert isinstance(np.floor(x), np.ndarray)
    assert np.argmax(x) == 1
    assert x.shape == np.shape(x)


def test_methods_are_those_of_an_array():
    x = tg.tensor(np.arange(6.0).reshape(2, 3))
    assert x.sum().item() == 15.0
    assert x.mean(axis=0).shape == (3,)
    assert x.T.reshape(6).shape == (6,)
    assert x.max().item() == 5.0
    assert len(x) == 2
    assert [row.shape for row in x] == [(3,), (3,)]


# -- what is refused -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", [3, True, [1, 2], np.array([1]), np.array([True]), 1j, np.array([1j])], ids=str)
def test_integers_booleans_and_complex_numbers_are_never_differentiated(value):
    with pytest.raises(tg.DtypeError, match="never differentiated"):
        tg.tensor(value)
    assert tg.tensor(value, requires_grad=False).requires_grad is False


def test_asking_for_an_integer_derivative_says_so():
    with pytest.raises(tg.DtypeError, match="integer argument"):
        tg.grad(lambda x: x * x)(3)


@pytest.mark.parametrize("value", ["three", None, object(), ["a"]], ids=["text", "none", "object", "list"])
def test_what_is_not_a_number_is_refused(value):
    with pytest.raises(tg.DtypeError, match="holds numbers"):
        tg.tensor(value)


@pytest.mark.parametrize(
    "f", [np.i0, np.fft.fft, np.linalg.eig, np.nanmedian, np.unwrap, np.maximum.accumulate], ids=lambda f: f.__name__
)
def test_a_numpy_function_without_derivative_names_itself(f):
    with pytest.raises(tg.NotDifferentiableError, match=r"np\..*(i0|fft|eig|median|unwrap|accumulate)"):
        f(tg.tensor(np.ones((2, 2))))


def test_turning_a_tensor_into_an_array_silently_is_refused():
    with pytest.raises(tg.NotDifferentiableError, match="lose its gradient"):
        np.asarray(tg.tensor(np.ones(2)))


def test_writing_into_a_tensor_is_refused_with_advice():
    x = tg.tensor(np.ones(2))
    with pytest.raises(tg.ReadOnlyError, match=r"np\.stack.*np\.where"):
        x[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 2.0
    y = x
    y += 1.0
    np.testing.assert_array_equal(x.value, [1.0, 1.0])


def test_a_later_write_to_the_original_array_does_not_reach_the_graph():
    original = np.ones(2)
    x = tg.tensor(original)
    original[0] = 9.0
    np.testing.assert_array_equal(x.value, [1.0, 1.0])


def test_a_shape_error_names_the_operation_the_scope_the_step_and_the_shapes():
    W = tg.tensor(np.ones((4, 3)), name="W")
    with (
        tg.scope("lstm"),
        tg.step(37),
        pytest.raises(tg.ShapeError, match=r"matmul at lstm, t=37: W \(4, 3\) @ \(4,\)"),
    ):
        W @ np.ones(4)
    with pytest.raises(tg.ShapeError, match=r"add: W \(4, 3\) \+ \(2,\): the shapes do not broadcast"):
        W + np.ones(2)


def test_backward_from_an_array_asks_for_a_scalar():
    with pytest.raises(tg.GraphError, match=r"shape \(2,\)"):
        (tg.tensor(np.ones(2)) * 2.0).backward()
    with pytest.raises(tg.GraphError, match="nothing below"):
        tg.tensor(1.0, requires_grad=False).backward()


@pytest.mark.parametrize("targets", [[0.5], [3], np.array([-1]), np.array([[1]])], ids=str)
def test_cross_entropy_refuses_targets_that_are_no_classes(targets):
    with pytest.raises(tg.ShapeError, match="targets"):
        tg.cross_entropy(tg.tensor(np.ones((1, 3))), targets)


# -- recording -----------------------------------------------------------------------------------------------------
def test_no_grad_records_nothing():
    x = tg.tensor(np.ones(2))
    with tg.no_grad():
        y = np.tanh(x @ x) * 2.0
    assert y.op is None
    assert not y.requires_grad
    assert (x * 2.0).op is PRIMITIVES["multiply"]


def test_detach_stops_the_gradient():
    x = tg.tensor(3.0)
    assert tg.gradients(x * x.detach(), x) == 3.0


def test_leaving_a_loop_early_leaves_its_scope():
    for t in tg.steps(5):
        if t == 2:
            break
    assert (tg.tensor(1.0) * 1.0).scope.step is None


def test_the_recorded_gradient_stands_where_its_forward_node_stands():
    w, h = tg.tensor(0.5, name="w"), tg.tensor(1.0)
    for _ in tg.steps(1, 4):
        h = tg.name("h", np.tanh(w * h))
    dw = tg.gradients(h, w, create_graph=True)
    graph = tg.Graph(dw)
    assert [n.scope.step for n in graph.select(name="dh")] == [3, 2, 1]


def test_graph_finds_nodes_by_name_and_step():
    w, h = tg.tensor(0.5, name="w"), tg.tensor(1.0)
    for _ in tg.steps(1, 4):
        h = tg.name("h", w * h)
    graph = tg.Graph(h)
    assert graph["h", 2].inputs[0] is w
    assert [p.name for p in graph.parameters if p.name] == ["w"]
    assert graph.edges.count((w, graph["h", 1])) == 1
    with pytest.raises(tg.GraphError, match="t = 1, 2, 3"):
        graph["h", 7]
    with pytest.raises(tg.GraphError, match="names are h, w"):
        graph["q"]


def test_nodes_are_grouped_by_the_scopes_they_were_made_in():
    x = tg.tensor(0.5)
    with tg.scope("encoder"):
        for _ in tg.steps(1, 3):
            x = x * 2.0
    groups = tg.Graph(x).collapse(depth=2)
    assert [node.op.name for node in groups["encoder", "1"]] == ["multiply"]
    assert set(groups) == {(), ("encoder", "1"), ("encoder", "2")}


# -- functions of functions ----------------------------------------------------------------------------------------
def test_higher_orders_by_nesting():
    f = lambda x: np.sin(x) * x  # noqa: E731
    g = f
    for order in range(1, 5):
        g = tg.grad(g)
        assert tg.check_grads(f, 0.7, order=order)
    # d4/dx4 (x sin x) = x sin x - 4 cos x
    assert abs(g(0.7) - (0.7 * np.sin(0.7) - 4.0 * np.cos(0.7))) < 1e-13


def test_nested_gradients_do_not_confuse_their_variables():
    # d/dx [x * d/dy (x + y) at y = 2] = 1, the classical perturbation confusion
    assert tg.grad(lambda x: x * tg.grad(lambda y: x + y)(2.0))(1.0) == 1.0


def test_products_with_jacobian_and_hessian_agree_with_the_matrices():
    rng = np.random.default_rng(3)
    A, x, v = rng.standard_normal((4, 3)), rng.standard_normal(3), rng.standard_normal(3)
    f = lambda z: np.tanh(A @ z)  # noqa: E731
    J = tg.jacobian(f)(x)
    np.testing.assert_allclose(tg.jvp(f, [x], [v])[1], J @ v, rtol=1e-13)
    np.testing.assert_allclose(tg.vjp(f, x)[1](np.ones(4))[0], J.T @ np.ones(4), rtol=1e-13)
    s = lambda z: np.sum(np.tanh(A @ z) ** 2)  # noqa: E731
    H = tg.hessian(s)(x)
    np.testing.assert_allclose(H, H.T, rtol=1e-12)
    np.testing.assert_allclose(tg.hvp(s, x, v), H @ v, rtol=1e-12)


def test_gradients_come_back_in_the_structure_of_the_argument():
    p = {"W": np.eye(2), "rest": [np.ones(2), (2.0,)]}
    value, g = tg.value_and_grad(lambda p: np.sum(p["W"] @ p["rest"][0]) * p["rest"][1][0])(p)
    assert value == 4.0
    np.testing.assert_array_equal(g["W"], 2.0 * np.ones((2, 2)))
    assert g["rest"][1] == (2.0,)
    assert tg.grad(lambda a, b: a * b, argnums=(0, 1))(2.0, 3.0) == (3.0, 2.0)


def test_check_grads_finds_a_wrong_rule(monkeypatch):
    monkeypatch.setattr(PRIMITIVES["tanh"], "joint", lambda g, y, x: (g * (1.0 - y) ** 2,))
    with pytest.raises(AssertionError, match="rounding explains"):
        tg.check_grads(np.tanh, np.array([0.3, 0.5]))


@pytest.mark.parametrize("name", sorted(name for name, op in PRIMITIVES.items() if op.joint is not None))
def test_the_derivative_tests_would_notice_a_wrong_joint_rule(name, monkeypatch):
    """Break each rule once: scaled by 1 + 1e-9 it must no longer pass."""
    from .samples import CASES

    rule = PRIMITIVES[name].joint
    monkeypatch.setattr(
        PRIMITIVES[name], "joint", lambda *args, **params: tuple(1.000000001 * g for g in rule(*args, **params))
    )
    f, args = CASES[name][0]
    with pytest.raises(AssertionError, match="rounding explains"):
        tg.check_grads(f, *args, order=1)


# -- leaves that take another value ---------------------------------------------------------------------------------
@pytest.mark.parametrize("start", [2.0, np.array([2.0, 1.0])], ids=["scalar", "array"])
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_graph_recorded_before_an_assignment_refuses_to_be_differentiated(start, create_graph):
    w = tg.tensor(start, name="w")
    x = tg.tensor(start, name="x")
    with tg.step(3):
        y = np.sum(w * x)
    w.assign(np.asarray(start) * 2)
    with pytest.raises(GraphError, match="w was given another value after multiply at t=3"):
        tg.gradients(y, x, create_graph=create_graph)
    if not create_graph:
        with pytest.raises(GraphError, match="detach"):
            y.backward()
    assert np.sum(w * x).item() == np.sum(2 * np.asarray(start) ** 2)


def test_assign_keeps_dtype_and_copies():
    w = tg.tensor(np.zeros(2, np.float32))
    new = np.ones(2)
    w.assign(new)
    new[0] = 5.0
    assert w.dtype == np.float32 and w.numpy().tolist() == [1.0, 1.0]


def test_assign_refuses_computed_tensors_and_other_shapes():
    w = tg.tensor(np.zeros(2), name="w")
    with pytest.raises(GraphError, match="only a leaf"):
        (w * 2.0).assign(np.zeros(2))
    with pytest.raises(ShapeError, match=r"w has shape \(2,\)"):
        w.assign(np.zeros(3))
