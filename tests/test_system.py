"""Laws of the system: its clauses are the model's equations, each on the steps that coverage gives it."""

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.language.syntax.indices import numbers
from tinygrad_rnn.models import names, resolve
from tinygrad_rnn.system import System

from .shipped import LARGE

OVERLAPPING = {
    "ends": "h[0] = s\nh[1] = W @ s\nh[T] = h[T-1]\nh[t] = tanh(W @ h[t-1])\nL = sum(h[T])",
    "every third": "h[t] = tanh(W @ h[t-1])\nh[t] = h[t-1]    for t % 3 = 1\n"
    "h[t] = W @ h[t-1]    for t % 3 = 2\nL = sum(h[T])",
    "edges": "indices: i = 1..I, j = 1..J\nh[0, j] = 0\nh[i, 0] = 0\nh[1, 1] = s\n"
    "h[i, J] = W @ h[i-1, J]    for i > 1\nh[i, j] = tanh(W @ h[i-1, j] + W @ h[i, j-1])\n"
    "L = sum(i, sum(j, sum(h[i, j])))",
    "children": "indices: n = 1..2*T-1\nh[2*n] = U @ a[n]    for n < T\nh[n] = tanh(x[n])\n"
    "a[n] = W @ h[n+1]    for n < T\nL = sum(n, sum(h[n]))",
}


def model_of(name: str) -> tg.Model:
    if name not in OVERLAPPING:
        return tg.load(resolve(name))
    return tg.load(f"sizes: h = 2{', a = 2' if name == 'children' else ''}\n{OVERLAPPING[name]}")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OVERLAPPING, *[name for name in names() if name not in LARGE - {"treelstm"}]])
def test_clauses_hold_exactly_where_coverage_says(name):
    model = model_of(name)
    system, quantities = System.of(model), model.quantities
    for clauses_of, equations_of in ((system.forward, quantities.defined), (system.gradients, quantities.stated)):
        for key, equations in equations_of.items():
            if not key[1]:
                continue
            for T in (3, 4, 7):
                lengths = model.lengths(T)
                expected = {
                    numbers(step): equation for step, equation in quantities.coverage(equations, lengths).items()
                }
                found = {}
                for clause in clauses_of[key]:
                    for point in clause.domain.points(clause.variables, lengths):
                        step = tuple(index.at({**lengths, **point}) for index in clause.indices)
                        assert step not in found, "pieces exclude each other"
                        found[step] = clause.equation
                assert found == expected
