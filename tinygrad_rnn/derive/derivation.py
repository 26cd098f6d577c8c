"""A derivation: gradient equations for every kept quantity and every parameter, as text, LaTeX, or step by step."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import cached_property

from ..core.errors import DerivationError
from ..core.graph import Graph
from ..core.tensor import Tensor
from ..language import Equation, Model, Run, parse
from ..language.affine import Affine, affine
from ..language.expressions import Binary, Call, Expr, Ref, Sum, walk
from ..language.expressions import Number as Num
from ..language.indices import Condition
from ..language.latex import latex
from ..language.printer import text
from ..language.source import NOWHERE
from . import algebra as forms
from .adjoint import Contribution, contributions
from .algebra import RULES, SCALAR, Algebra, Apply, Form, Number, Product
from .cases import Case, moved, parameter_cases, state_cases, timeless_case
from .jacobian import jacobian_form
from .writing import DIAG, HADAMARD, write

#: the shorter of the two sequences that are compared has at least so many steps
SHORTEST = 8


class Derivation:
    """The gradient equations of a model or graph.

    `equations` are equations of the recurrence language; `text()` prints them, `latex()` typesets them, `steps()`
    shows how each came about, one rule a line.
    """

    def __init__(
        self, runs: list[tuple[int, Tensor]], keep: Collection[str], style: str | None, model: Model | None = None
    ) -> None:
        self.runs, self.keep, self.model = runs, [keep] if isinstance(keep, str) else list(keep), model
        self._asked = style
        self.graph = Graph(runs[0][1])
        self._check_arguments()
        self._cases: dict[str, list[Case]] = self._derive(Algebra())

    def _check_arguments(self) -> None:
        if self._asked not in (None, DIAG, HADAMARD):
            raise DerivationError(f"style is {DIAG!r} or {HADAMARD!r}, not {self._asked!r}")
        named = {node.name for node in self.graph.nodes if node.name and node.op is not None}
        for name in self.keep:
            if name not in named:
                raise DerivationError(
                    f"keep: nothing computed is called {name!r}; names are {', '.join(sorted(named))}"
                )

    @cached_property
    def style(self) -> str:
        """`diag` or `hadamard`: as asked, or what reads better here."""
        return self._asked or (HADAMARD if any(_crowded(case.form) for case in self._all_cases()) else DIAG)

    @cached_property
    def prefix(self) -> str:
        """What stands before a name for its gradient: d, or D where the graph names first gradients d… itself."""
        names = {node.name for node in self.graph.nodes if node.name}
        return "D" if any(name.startswith("d") and name[1:] in names for name in names) else "d"

    def _shares(self, algebra: Algebra) -> list[tuple[int, list[Contribution]]]:
        # from one length alone, a number that happens to equal it could not be told from it
        lengths = [T if len(self.runs) > 1 else None for T, _ in self.runs]
        return [
            (T, contributions(loss, self.keep, Algebra(algebra.rules, length, self.prefix)))
            for (T, loss), length in zip(self.runs, lengths, strict=True)
        ]

    def _derive(self, algebra: Algebra) -> dict[str, list[Case]]:
        shares = self._shares(algebra)
        found = {
            f"{self.prefix}{name}": state_cases(name, shares, algebra) or timeless_case(name, shares[0][1], algebra)
            for name in self._states()
        }
        found |= {f"{self.prefix}{name}": parameter_cases(name, shares, algebra) for name in self._parameters()}
        return {name: cases for name, cases in found.items() if cases}

    def _all_cases(self) -> Iterable[Case]:
        return (case for cases in self._cases.values() for case in cases)

    def _states(self) -> list[str]:
        """Kept names, those nearest the loss first."""
        names = [node.name for node in reversed(self.graph.nodes) if node.op is not None and node.name in self.keep]
        return list(dict.fromkeys(name for name in names if name is not None))

    def _parameters(self) -> list[str]:
        names = [node.name for node in self.graph.parameters if node.name]
        if self.model is not None:
            names = [name for name in self.model.parameters if name in names]
        return list(dict.fromkeys(names))

    # -- as equations -----------------------------------------------------------------------------------------------
    @cached_property
    def equations(self) -> list[Equation]:
        """Every gradient equation, boundary cases apart."""
        found: list[Equation] = []
        for name in self._states():
            for case in reversed(self._cases.get(f"{self.prefix}{name}", [])):
                found.append(self._state_equation(f"{self.prefix}{name}", case, self.style))
        for name in self._parameters():
            if f"{self.prefix}{name}" in self._cases:
                rhs = self._parameter_expression(
                    f"{self.prefix}{name}", self._cases[f"{self.prefix}{name}"], self.style
                )
                found.append(Equation(Ref(NOWHERE, f"{self.prefix}{name}"), (), rhs, NOWHERE))
        return found

    def _state_equation(self, name: str, case: Case, style: str) -> Equation:
        if case.steps is None:
            return Equation(Ref(NOWHERE, name), (), write(case.form, style), NOWHERE)
        at = case.steps.single
        index = at or affine("t")
        condition = None if at is not None else case.steps.condition()
        when = () if condition is None else (condition,)
        return Equation(
            Ref(NOWHERE, name, index), when, self._filling(name, index, write(case.form, style, at), case.form), NOWHERE
        )

    def _filling(self, name: str, index: Affine | None, rhs: Expr, form: Form) -> Expr:
        """A number that stands for a whole column or matrix: times ones of its shape."""
        quantity = name.removeprefix(self.prefix)
        node = next(
            node for node in self.graph.nodes if node.name == quantity and (index is None or node.op is not None)
        )
        if node.size == 1 or not _flat(form) or rhs == Num(NOWHERE, 0):
            return rhs
        ones = Call(NOWHERE, "ones_like", (Ref(NOWHERE, quantity, index),))
        return ones if rhs == Num(NOWHERE, 1) else Binary(NOWHERE, "*", rhs, ones, NOWHERE)

    def _parameter_expression(self, name: str, cases: list[Case], style: str) -> Expr:
        total: Expr | None = None
        for case in cases:
            if isinstance(case.form, Number) and case.form.value == 0.0:
                continue
            at = case.steps.single if case.steps is not None else None
            part = self._filling(name, None, write(case.form, style, at), case.form)
            if case.steps is not None and at is None:
                part = Sum(NOWHERE, "sum", case.steps.condition() or Condition("t"), part)
            total = part if total is None else Binary(NOWHERE, "+", total, part, NOWHERE)
        return Num(NOWHERE, 0) if total is None else total

    # -- as text ----------------------------------------------------------------------------------------------------
    def text(self) -> str:
        """The equations in the recurrence language, one a line.

        >>> import tinygrad_rnn as tg
        >>> print(tg.derive("sizes: h = 2\\nh[t] = tanh(W @ h[t-1])\\nL = sum(t, sum(h[t]**2))").text())
        dh[T] = 2 * h[T]
        dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + 2 * h[t]    for t < T
        dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)
        """
        return "\n".join(text(equation) for equation in self.equations)

    def __str__(self) -> str:
        return self.text()

    def latex(self) -> str:
        """The equations as a LaTeX `align*` environment (needs amsmath and amssymb)."""
        lines = [latex(equation, self.model).replace(" = ", " &= ", 1) for equation in self.equations]
        return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"

    def document(self) -> str:
        """A complete equation file: the model's forward equations with these gradients. Raises `DerivationError` for a
        bare graph.
        """
        if self.model is None:
            raise DerivationError("a derivation of a graph has no forward equations to print; derive from a Model")
        document = replace(self.model.document, gradients=tuple(self.equations))
        return text(document)

    def jac(self, of: str, by: str) -> str:
        """The Jacobian of one quantity with respect to another it reads directly, both with index.

        Raises `DerivationError` when neither is kept, or the one does not read the other.

        >>> import tinygrad_rnn as tg
        >>> tg.derive("sizes: h = 2\\nh[t] = tanh(W @ h[t-1])\\nL = sum(h[T])").jac("h[t+1]", "h[t]")
        'diag(1 - h[t+1]**2) @ W'
        """
        algebra = Algebra()
        (reader, ahead), (read, base) = _quantity(of), _quantity(by)
        for share in self._shares(algebra)[0][1]:
            step = share.target.scope.step
            if share.target.name != read or not isinstance(step, int) or step < 2 or share.consumer is None:
                continue
            if share.consumer.name == reader and share.consumer.scope.step == step + ahead - base:
                return text(write(jacobian_form(moved(share.form, base - step, algebra), algebra), DIAG))
        raise DerivationError(f"{of} does not read {by} directly; keep both names, and every name in between goes")

    def steps(self) -> list[tuple[str, str]]:
        """How each equation came about: `(rule, equation)` from the chain rule to the final form, one rewrite a
        line.
        """
        found: list[tuple[str, str]] = []
        rules: list[str] = []
        stages = [("chain rule", self._derive(Algebra(())), HADAMARD)]
        for rule, says in RULES.items():
            rules.append(rule)
            stages.append((says, self._derive(Algebra(rules)), HADAMARD))
        stages.append((f"write what stands beside a gradient in {self.style} style", self._cases, self.style))
        for name in self._cases:
            shown: set[str] = set()
            for says, stage, style in stages:
                for line in self._lines(name, stage.get(name, []), style):
                    if line not in shown:
                        shown.add(line)
                        found.append((says, line))
        return found

    def _lines(self, name: str, cases: list[Case], style: str) -> list[str]:
        if name[1:] in self._states():
            return [text(self._state_equation(name, case, style)) for case in reversed(cases)]
        if not cases:
            return []
        return [text(Equation(Ref(NOWHERE, name), (), self._parameter_expression(name, cases, style), NOWHERE))]


def _quantity(written: str) -> tuple[str, int]:
    """Name and distance from t of `h[t+1]`."""
    rhs = parse(f"q[t] = {written}\n").forward[0].rhs
    if not isinstance(rhs, Ref) or rhs.index is None or rhs.index.variable != "t":
        raise DerivationError(f"{written!r} is not a quantity at a step, as h[t+1] is")
    return rhs.name, rhs.index.constant


def _flat(form: Form) -> bool:
    """Whether a form has the same value in every entry, whatever shape it fills."""
    match form:
        case Number():
            return True
        case forms.Sum() | Product():
            return all(_flat(part) for part in form.parts)
    return form.shape == SCALAR


def _crowded(form: Form) -> bool:
    """Whether a gradient has more than one factor beside it: `diag(o * (1 - o))` reads worse than `* o * (1 - o)`."""
    if isinstance(form, Apply) and form.function == "sum" and form.cotangents:
        return True
    if isinstance(form, Product) and form.cotangents:
        return sum(1 for f, _ in form.factors if not f.cotangents) > 1
    return any(_crowded(part) for part in form.parts)


def derive_model(model: Model, keep: Collection[str] | None, style: str | None) -> Derivation:
    """Derive from a model of the recurrence language; by default in the vocabulary of its own gradients section."""
    check_one_time(model)
    runs = [(T, model.unroll(T).loss) for T in _lengths(model)]
    if keep is not None:
        return Derivation(runs, keep, style, model)
    try:
        return Derivation(runs, _vocabulary(model, runs[0][1]), style, model)
    except DerivationError:  # what the file states leaves a state out that has no effect on what it learns
        return Derivation(runs, default_names(runs[0][1]), style, model)


def check_one_time(model: Model) -> None:
    """Raise `DerivationError` for a model whose steps are not those of one time, each like the one before it."""
    indices = model.document.indices
    every = [condition for equation in model.forward for condition in equation.when]
    scaled = [
        index
        for equation in model.forward
        for node in walk(equation.rhs)
        if isinstance(node, Ref)
        for index in node.indices
        if index.scale != 1
    ]
    why = ""
    if len(indices) > 1:
        why = f"it has {len(indices)} indices, {', '.join(f'{name} = {within}' for name, within in indices.items())}"
    elif scaled:
        why = f"it reads step {scaled[0]}, so that no two steps lie equally far from what they read"
    elif any(test.modulus for condition in every for test in condition.tests):
        why = "its steps are not all alike: some of its equations hold at every second step or the like"
    if why:
        raise DerivationError(
            f"{model.name} has no derivation in textbook form here: {why}. "
            "What somebody else derived is verified all the same"
        )


def _lengths(model: Model) -> tuple[int, int]:
    """Two lengths that show every delay, and that no number of the model could be taken for."""
    nodes = [node for equation in model.forward for node in walk(equation.rhs)]
    numbers = {float(node.value) for node in nodes if isinstance(node, Num)}
    numbers |= {float(n) for shape in model.shapes.values() for n in shape}
    T = max(SHORTEST, 2 * model.longest_delay + 3)
    while any(n in numbers or 1.0 / n in numbers for n in (T, T + 1)):
        T += 1
    return T, T + 1


def derive_graph(graph: Graph | Tensor | Run, keep: Collection[str] | None, style: str | None) -> Derivation:
    """Derive from a recorded graph whose steps are labelled."""
    if isinstance(graph, Run):
        check_one_time(graph.model)
        graph = graph.graph
    if not isinstance(graph, Graph | Tensor):
        raise DerivationError(f"a derivation starts from a model, a run, a graph or a loss, not {type(graph).__name__}")
    loss = graph if isinstance(graph, Tensor) else graph.outputs[0]
    places = [n.scope.step for n in Graph(loss).nodes if n.op is not None and n.scope.step is not None]
    if any(isinstance(place, tuple) for place in places):
        raise DerivationError("steps are pairs or paths: a 2-D net or a tree has no single t to derive along")
    steps = [place for place in places if isinstance(place, int)]
    if not steps:
        raise DerivationError("no operation of this graph belongs to a time step: build it inside tg.steps(T)")
    return Derivation([(max(steps), loss)], default_names(loss) if keep is None else keep, style)


def _vocabulary(model: Model, loss: Tensor) -> list[str]:
    stated = [model.quantities.base(e.target.key) for e in model.gradients]
    names = [key[0] for key in stated if key is not None and key[1]]
    available = default_names(loss)
    stated_and_computed = {
        n.name for n in Graph(loss).nodes if n.op is not None and (n.size > 1 or n.name in available)
    }
    return [name for name in dict.fromkeys(names) if name in stated_and_computed] or available


def default_names(loss: Tensor) -> list[str]:
    """The names a textbook would keep: all but losses, and but pre-activations that feed one activation only."""
    graph = Graph(loss)
    readers: dict[int, list[Tensor]] = {}
    for source, target in graph.edges:
        readers.setdefault(source.id, []).append(target)
    kept: dict[str, bool] = {}
    for node in graph.nodes:
        uses = readers.get(node.id, [])
        carried = any(use.scope.step not in (None, node.scope.step) for use in uses)
        if node.name is None or node.op is None or (node.size == 1 and not carried):
            continue
        inner = (
            len(uses) == 1
            and uses[0].name is not None
            and len(uses[0].inputs) == 1
            and bool(uses[0].op and uses[0].op.elementwise)
        )
        kept[node.name] = kept.get(node.name, False) or not inner
    return [name for name, keep in kept.items() if keep]
