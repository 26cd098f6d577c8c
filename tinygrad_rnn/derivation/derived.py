"""A derivation: gradient equations for every kept quantity and every parameter, as text, LaTeX, or step by step."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

from ..core.errors import DerivationError
from ..language import Equation, Model
from ..language.affine import Affine, affine
from ..language.expressions import Binary, Call, Expr, Number, Ref
from ..language.syntax.indices import Constraint
from ..language.syntax.source import NOWHERE
from ..language.text.latex import latex
from ..language.text.printer import text
from ..system import Domain
from .adjoint import Key
from .algebra import RULES
from .forms import Apply, Combination, Form, Product, walk
from .gradients import Gradients
from .jacobian import jacobian
from .long_sequences import at_length, shortest
from .numeric_check import check
from .regions import Region, restaged
from .writing import DIAG, HADAMARD, EquationWriter

#: conditions that shorter sequences need are spelled out, so that no two equations claim a step of these
SPELLED = 6


@dataclass(frozen=True)
class DerivedPiece:
    """The gradient at the steps `indices` is `expr`, for every value of their variables (and lengths) in `domain`."""

    indices: tuple[Affine, ...]
    domain: Domain
    expr: Expr


class Derivation:
    """The gradient equations of a model.

    `equations` are equations of the recurrence language; `text()` prints them, `latex()` typesets them, `steps()` shows
    how each came about, one rule a line. `keep` are the names whose gradients appear, `notes` says what was chosen and
    why. What is printed was checked against numbers first (see `witness`).
    """

    def __init__(self, model: Model, keep: Collection[str] | None = None, style: str | None = None) -> None:
        if style not in (None, DIAG, HADAMARD):
            raise DerivationError(f"style is {DIAG!r} or {HADAMARD!r}, not {style!r}")
        self.model, self._asked = model, style
        self.gradients = Gradients(model, keep)
        self._checked = False

    @cached_property
    def keep(self) -> list[str]:
        """The names whose gradients may appear."""
        return [key[0] for key in self.gradients.system.forward if key in self.gradients.adjoint.kept]

    @cached_property
    def notes(self) -> list[str]:
        """What was chosen beyond what was asked for."""
        notes = [
            f"{name} feeds itself through time, so its gradient is kept: without it the expressions would never end"
            for name in self.gradients.adjoint.added
        ]
        lengths = " and ".join(self.model.lengths(1))
        if self._shortest > 1:
            notes.append(f"holds from {lengths} = {self._shortest} on: before, two ends are one step")
        return notes

    @cached_property
    def _shortest(self) -> int:
        """The length from which on what is printed holds."""
        regions = [region for key in self._printed for region in self.gradients.regions(key) if region.defined]
        left_out = [region.domain for region in regions if not at_length(region.domain)]
        # dh[T-1] is no step of the sequence where T = 1
        limits = [Domain.of(c.negation) for region in regions if at_length(region.domain) for c in region.only_at]
        return shortest([*left_out, *(limit for limit in limits if not at_length(limit))])

    @cached_property
    def style(self) -> str:
        """`diag` or `hadamard`: as asked, or what reads better here."""
        crowded = any(_crowded(region.form) for key in self._printed for region in self._shown(key))
        return self._asked or (HADAMARD if crowded else DIAG)

    @property
    def prefix(self) -> str:
        """What stands before a name for its gradient."""
        return self.gradients.reader.prefix

    def cells(self, name: str, indexed: bool | None = None) -> tuple[DerivedPiece, ...]:
        """The gradient of the quantity called `name` at all its steps, as cells that exclude each other: also outside
        the sequence, as that of h[0], where something reads it. Of h[t] rather than of h where both exist, unless
        `indexed` says which.
        """
        writer = EquationWriter(self.model, self.style)
        if indexed is None:
            indexed = (name, True) in self.model.quantities.used
        regions = self.gradients.regions((name, indexed))
        return tuple(
            DerivedPiece(region.indices, region.domain, writer.expr(region.form, region.domain, region.variables))
            for region in regions
        )

    # -- as equations -------------------------------------------------------------------------------------------------
    @cached_property
    def _printed(self) -> list[Key]:
        """Kept names, those that are computed last first; then the parameters, then inputs whose gradient is stated."""
        quantities, gradients = self.model.quantities, self.gradients
        kept = [key for key in reversed(list(gradients.system.forward)) if key in gradients.adjoint.kept]
        fixed = set(self.model.document.fixed)
        parameters = [key for key in quantities.parameters if key[0] not in fixed]
        stated = [quantities.base(equation.target.key) for equation in self.model.gradients]
        inputs = [key for key in dict.fromkeys(stated) if key and not key[1] and key in quantities.inputs]
        return [key for key in (*kept, *parameters, *inputs) if key in gradients.shares or key in parameters]

    def _shown(self, key: Key) -> list[Region]:
        """The regions that are printed: where the quantity is defined, at lengths at which the ends lie apart."""
        regions = self.gradients.regions(key)
        regions = tuple(r for r in regions if (r.defined or not key[1]) and at_length(r.domain))
        return sorted((r for r in regions if r.shares or not key[1] or self.gradients.is_read(key, r)), key=_order)

    @cached_property
    def equations(self) -> list[Equation]:
        """Every gradient equation, boundary cases apart."""
        return [self._equation(key, region, self.style) for key in self._printed for region in self._shown(key)]

    def _equation(self, key: Key, region: Region, style: str) -> Equation:
        writer = EquationWriter(self.model, style)
        long, known = self._lengths_from(self._shortest), self._lengths_from(min(self._shortest, SPELLED))
        values, domain = region.told(known)
        domain = Domain.of(*(c for c in domain.constraints if c.affine.running or not long.implies(c)))
        alone = [str(c) for c in domain.constraints if not c.affine.running]
        if alone:
            told = f"{self.prefix}{key[0]} is this only in sequences with {' and '.join(alone)}"
            raise DerivationError(f"{told}: no condition of the language says that")
        indices = tuple(index.substituted(values) for index in region.indices)
        variables = tuple(dict.fromkeys(name for index in indices for name in index.running))
        target = Ref(NOWHERE, self.prefix + key[0], indices[0] if indices else None, indices[1:])
        form = self.gradients.algebra.substituted(region.form, values)
        rhs = self._filled(key, indices, form, writer.expr(form, domain, variables))
        when = writer.conditions(domain, variables, known)
        return Equation(target, when, rhs, NOWHERE, ranges=self.model.document.indices)

    def _lengths_from(self, least: int) -> Domain:
        """What is known of the lengths when each is at least so long."""
        return Domain.of(*(Constraint(">=", affine(name, -least)) for name in self.model.lengths(1)))

    def _filled(self, key: Key, indices: tuple[Affine, ...], form: Form, rhs: Expr) -> Expr:
        """A number that stands for a whole column or matrix: times ones of its shape."""
        if self.model.shapes_.names[key] == (1, 1) or not _flat(form) or rhs == Number(NOWHERE, 0):
            return rhs
        quantity = Ref(NOWHERE, key[0], indices[0] if indices else None, indices[1:])
        ones = Call(NOWHERE, "ones_like", (quantity,))
        return ones if rhs == Number(NOWHERE, 1) else Binary(NOWHERE, "*", rhs, ones, NOWHERE)

    # -- as text ------------------------------------------------------------------------------------------------------
    def text(self) -> str:
        """The equations in the recurrence language, one a line.

        >>> import tinygrad_rnn as tg
        >>> print(tg.derive("sizes: h = 2\\nh[t] = tanh(W @ h[t-1])\\nL = sum(t, sum(h[t]**2))").text())
        dh[T] = 2 * h[T]
        dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + 2 * h[t]    for t < T
        dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)
        """
        self.verify()
        return "\n".join(text(equation) for equation in self.equations)

    def __str__(self) -> str:
        return self.text()

    def latex(self) -> str:
        """The equations as a LaTeX `align*` environment (needs amsmath and amssymb)."""
        self.verify()
        lines = [latex(equation, self.model).replace(" = ", " &= ", 1) for equation in self.equations]
        return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"

    def document(self) -> str:
        """A complete equation file: the model's forward equations with these gradients."""
        self.verify()
        return self._document()

    def file(self) -> str:
        """The model's own file, comments and all, with these gradients in the place of those it states."""
        self.verify()
        written = self.model.document.source.text.splitlines()
        section = (number for number, line in enumerate(written) if re.match(r"\s*gradients\s*:\s*(#.*)?$", line))
        kept = "\n".join(written[: next(section, len(written))]).rstrip()
        return f"{kept}\n\ngradients:\n{self.text()}\n"

    def _document(self) -> str:
        return text(replace(self.model.document, gradients=tuple(self.equations)))

    def jac(self, of: str, by: str) -> str:
        """The Jacobian of one quantity with respect to another it reads directly, both with their indices.

        Raises `DerivationError` when the one does not read the other, or what lies between them is no product of
        matrices.

        >>> import tinygrad_rnn as tg
        >>> tg.derive("sizes: h = 2\\nh[t] = tanh(W @ h[t-1])\\nL = sum(h[T])").jac("h[t+1]", "h[t]")
        'diag(1 - h[t+1]**2) @ W'
        """
        return text(jacobian(self.gradients, of, by))

    def steps(self) -> list[tuple[str, str]]:
        """How each equation came about: `(rule, equation)` from the chain rule to the final form, a rewrite a line."""
        self.verify()
        stages = [("chain rule", Gradients(self.model, self.keep, rules=()), HADAMARD)]
        for number, (_, says) in enumerate(RULES.items(), start=1):
            stages.append((says, Gradients(self.model, self.keep, rules=list(RULES)[:number]), HADAMARD))
        found: list[tuple[str, str]] = []
        for key in self._printed:
            for region in self._shown(key):
                shown: set[str] = set()
                for says, stage, style in [*stages, (self._last_step, self.gradients, self.style)]:
                    line = text(self._equation(key, self._at_stage(key, region, stage), style))
                    if line not in shown:
                        shown.add(line)
                        found.append((says, line))
        return found

    @property
    def _last_step(self) -> str:
        return f"write what stands beside a gradient in {self.style} style"

    def _at_stage(self, key: Key, region: Region, stage: Gradients) -> Region:
        if stage is self.gradients or not region.shares:
            return region
        return replace(region, form=restaged(region, stage.shares.get(key, []), stage.algebra))

    def verify(self) -> None:
        """Check the printed equations against numbers, once; raise `DerivationError` if they do not agree."""
        if not self._checked:
            check(self._document(), self.model.name, self._shortest)
            self._checked = True


def _order(region: Region) -> tuple[object, ...]:
    """One step before many, late ones before early ones."""
    ends = []
    for name in region.variables:
        bounds = [c for c in region.domain.constraints if c.kind in (">=", "=") and c.affine.coefficient(name)]
        uppers = [
            c.affine.without(name) * (-1 if c.affine.coefficient(name) > 0 else 1)
            for c in bounds
            if c.kind == "=" or c.affine.coefficient(name) < 0
        ]
        known = [upper.at(dict.fromkeys(upper.lengths, 1000)) for upper in uppers if upper.fixed]
        ends.append(-min(known, default=1000))
    return (len(region.variables) - len(region.fixed), ends, str(region.domain))


def _flat(form: Form) -> bool:
    """Whether a form has the same value in every entry, whatever shape it fills."""
    match form:
        case Combination() | Product():
            return all(_flat(part) for part in form.parts)
    return form.scalar


def _crowded(form: Form) -> bool:
    """Whether a gradient has more than one factor beside it: `diag(o * (1 - o))` reads worse than `* o * (1 - o)`."""
    for part in walk(form):
        if isinstance(part, Apply) and part.function == "sum" and part.cotangents:
            return True
        if isinstance(part, Product) and part.cotangents and sum(1 for f, _ in part.factors if not f.cotangents) > 1:
            return True
    return False
