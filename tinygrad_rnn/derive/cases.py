"""From contributions step by step to equations with boundary cases.

The gradient of a quantity at each step is a form with steps relative to it; steps with the same form are one equation,
and `t = T`, `t < T`, `t > 2` fall out by themselves. Two lengths are compared, so that what is fixed to the end is
told apart from what is fixed to the start. A parameter's terms are grouped in the same way and summed over their steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..core.errors import DerivationError
from ..language.affine import Affine, affine
from ..language.indices import Comparison, Condition
from .adjoint import Contribution
from .algebra import Algebra, Apply, Chain, Flip, Form, Number, Product, Sum, Symbol


@dataclass(frozen=True)
class Span:
    """The steps lo to hi, each counted from the first step (an int >= 1) or from the last (`T`, an int <= 0)."""

    lo: int
    hi: int
    lo_from_end: bool
    hi_from_end: bool

    @property
    def single(self) -> Affine | None:
        """The step as it is written in an index, when there is just one."""
        if self.lo != self.hi or self.lo_from_end != self.hi_from_end:
            return None
        return affine("T" if self.lo_from_end else None, self.lo)

    def condition(self, variable: str = "t") -> Condition | None:
        """The condition that says the same; None for all steps."""
        tests: list[Comparison] = []
        low = affine("T" if self.lo_from_end else None, self.lo)
        high = affine("T" if self.hi_from_end else None, self.hi)
        if low == high:
            return Condition(variable, (Comparison("=", low),))
        if self.lo_from_end or self.lo > 1:
            tests.append(Comparison(">", low.moved(-1)))
        if not self.hi_from_end or self.hi < 0:
            tests.append(Comparison("<", high.moved(1)))
        return Condition(variable, tuple(tests)) if tests else None


@dataclass(frozen=True)
class Case:
    """One equation: the steps it holds for, and its right-hand side relative to them."""

    steps: Span | None
    form: Form


def moved(form: Form, by: int, algebra: Algebra) -> Form:
    """The form with every relative step changed by `by`, in normal order again."""
    match form:
        case Symbol():
            return (
                Symbol(form.shape, form.name, form.index + by, form.cotangent) if isinstance(form.index, int) else form
            )
        case Number():
            return form
        case Sum():
            return algebra.combine([(c, moved(part, by, algebra)) for c, part in form.terms])
        case Product():
            return algebra.product([(moved(part, by, algebra), n) for part, n in form.factors])
        case Chain():
            return algebra.dot(*[moved(part, by, algebra) for part in form.factors])
        case Flip():
            return algebra.flip(moved(form.inner, by, algebra))
        case Apply():
            return Apply(form.shape, form.function, tuple(moved(part, by, algebra) for part in form.args))
    raise TypeError(f"no way to move {form!r}")


def latest(form: Form) -> int | None:
    """The largest step in a form, or None if it has none."""
    if isinstance(form, Symbol):
        return form.index if isinstance(form.index, int) else None
    steps = [step for part in form.parts if (step := latest(part)) is not None]
    return max(steps, default=None)


def state_cases(name: str, runs: list[tuple[int, list[Contribution]]], algebra: Algebra) -> list[Case]:
    """The equations for the gradient of a quantity that has a value at each step; `runs` holds (T, contributions)."""
    tables: list[dict[int, Form]] = []
    for _, shares in runs:
        forms: dict[int, list[Form]] = {}
        for share in shares:
            step = share.target.scope.step
            if share.target.name == name and share.target.op is not None and isinstance(step, int):
                forms.setdefault(step, []).append(moved(share.form, -step, algebra))
        tables.append({step: algebra.add(*parts) for step, parts in sorted(forms.items())})
    return _cases([_spans(table) for table in tables], [T for T, _ in runs], name)


def timeless_case(name: str, shares: list[Contribution], algebra: Algebra) -> list[Case]:
    """The equation for a kept quantity without time, such as a mean over all steps."""
    forms = [share.form for share in shares if share.target.name == name and share.target.scope.step is None]
    return [Case(None, algebra.add(*forms))] if forms else []


def parameter_cases(name: str, runs: list[tuple[int, list[Contribution]]], algebra: Algebra) -> list[Case]:
    """The equations' parts for the gradient of a parameter: each case is a sum over its steps (one term if steps is
    None).
    """
    tables: list[dict[str, dict[int, Form]]] = []
    timeless: dict[str, Form] = {}
    for _, shares in runs:
        table: dict[str, dict[int, Form]] = {}
        timeless = {}
        for share in shares:
            if share.target.name != name or share.target.scope.step is not None:
                continue
            for term in _terms(share, algebra):
                step = share.consumer.scope.step if share.consumer is not None else None
                step = latest(term) if step is None else step
                if not isinstance(step, int):
                    timeless[term.key] = algebra.add(timeless[term.key], term) if term.key in timeless else term
                    continue
                form = moved(term, -step, algebra)
                at = table.setdefault(form.key, {})
                at[step] = algebra.add(at[step], form) if step in at else form
        tables.append(table)
    found = [Case(None, form) for form in timeless.values()]
    if any(table.keys() != tables[0].keys() for table in tables[1:]):
        raise DerivationError(
            f"d{name}: its terms in a sequence of length {runs[0][0]} are not those of length {runs[1][0]}: "
            "is something read at one fixed step by all others?"
        )
    for key in tables[0]:
        found += _cases([_spans(table[key]) for table in tables], [T for T, _ in runs], name)
    return _joined(found, algebra)


def _terms(share: Contribution, algebra: Algebra) -> Iterable[Form]:
    """Terms that may belong to steps of their own: each is linear in a gradient, or comes from the loss itself."""
    form = share.form
    if isinstance(form, Sum) and (form.cotangents or share.consumer is None):
        return [algebra.scale(c, part) for c, part in form.terms]
    return [form]


def _spans(table: dict[int, Form]) -> list[tuple[int, int, Form]]:
    """Runs of neighbouring steps with the same form."""
    found: list[tuple[int, int, Form]] = []
    for step, form in sorted(table.items()):
        if found and found[-1][1] == step - 1 and found[-1][2].key == form.key:
            found[-1] = (found[-1][0], step, form)
        else:
            found.append((step, step, form))
    return found


def _cases(spans: list[list[tuple[int, int, Form]]], lengths: list[int], name: str) -> list[Case]:
    first = spans[0]
    for other in spans[1:]:
        if [form.key for _, _, form in other] != [form.key for _, _, form in first]:
            raise DerivationError(
                f"d{name}: the equations of a sequence of length {lengths[0]} are not those of length {lengths[1]}"
            )
    found = []
    for i, (lo, hi, form) in enumerate(first):
        last, T = spans[-1][i], lengths[0]
        from_end = [
            (lo != last[0]) if len(spans) > 1 else lo > T // 2 + 1,
            (hi != last[1]) if len(spans) > 1 else hi > T // 2,
        ]
        found.append(Case(Span(lo - T if from_end[0] else lo, hi - T if from_end[1] else hi, *from_end), form))
    return found


def _joined(cases: list[Case], algebra: Algebra) -> list[Case]:
    """Terms that run over the same steps under one sum."""
    groups: dict[Span | None, list[Form]] = {}
    for case in cases:
        groups.setdefault(case.steps, []).append(case.form)
    return [Case(steps, algebra.add(*forms)) for steps, forms in groups.items()]
