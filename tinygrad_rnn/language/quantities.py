"""Which name is what: input, parameter, state, loss; whose gradient an equation states; which step it covers.

`L` and `L[t]` are two quantities, so a quantity is known here by a key: its name and whether it has a time index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from ..core.errors import LanguageError
from .expressions import Call, Document, Equation, Ref, walk
from .source import listed

Key = tuple[str, bool]


def show(key: Key) -> str:
    """`h[t]` or `W`."""
    return f"{key[0]}[t]" if key[1] else key[0]


def refs(equation: Equation) -> Iterable[Ref]:
    """The quantities a right-hand side names, in order."""
    return (node for node in walk(equation.rhs) if isinstance(node, Ref))


class Quantities:
    """The quantities of a document. Raises `LanguageError` for names that are undefined, ambiguous or defined twice."""

    def __init__(self, document: Document) -> None:
        self.document, self.source = document, document.source
        self.defined = _by_target(document.forward)
        self.used: dict[Key, Ref] = {}
        for equation in document.forward:
            self.used.setdefault(equation.target.key, equation.target)
            for ref in refs(equation):
                self.used.setdefault(ref.key, ref)
        self.boundary_only = {
            key
            for key, equations in self.defined.items()
            if key[1] and all(_at_boundary(equation) for equation in equations)
        }
        self.leaves = [key for key in self.used if key not in self.defined or key in self.boundary_only]
        self.classes = set(self._classes())
        self.inputs = [key for key in self.leaves if key[1] or key in self.classes]
        self.parameters = [key for key in self.leaves if not key[1] and key not in self.classes]
        self._check_indices()
        self._check_sizes()
        self.loss = self._loss()
        self.helpers: dict[Key, list[Equation]] = {}
        self.stated = _by_target(document.gradients)
        for key, equations in self.stated.items():
            if self.base(key) is None:
                self._check_helper(key, equations)
                self.helpers[key] = equations
        for equation in document.gradients:
            for ref in refs(equation):
                self._check_known(ref)
        self._check_misspelt()
        for equations in (*self.defined.values(), *self.stated.values()):
            self._check_overlaps(equations)

    # -- roles --------------------------------------------------------------------------------------------------------
    def base(self, key: Key) -> Key | None:
        """The forward quantity X when the key says dX; for a per-step copy dW[t] it is the parameter W."""
        name, indexed = key
        if not name.startswith("d") or key in self.used:
            return None
        if (name[1:], indexed) in self.used:
            return name[1:], indexed
        return (name[1:], False) if indexed and (name[1:], False) in self.parameters else None

    def role(self, equation: Equation) -> str:
        """gradient, copy (dW[t], one step's share), boundary (a quantity outside the sequence) or helper."""
        key = equation.target.key
        base = self.base(key)
        if base is None:
            return "boundary" if key in self.used else "helper"
        if key[1] and not base[1]:
            return "copy"
        index = equation.target.index
        outside = index is not None and index.variable == "T" and index.offset > 0
        return "boundary" if outside else "gradient"

    @property
    def states(self) -> list[Key]:
        """Defined quantities that are read at another step than their own."""
        found = {
            ref.key: None
            for equation in self.document.forward
            for ref in refs(equation)
            if ref.key in self.defined
            and ref.index
            and ref.index.variable not in (None, "T")
            and equation.target.index
            and ref.index.variable == equation.target.index.variable
            and ref.index.offset != equation.target.index.offset
        }
        return list(found)

    def _loss(self) -> Key | None:
        free = [key for key in self.defined if not key[1]]
        if ("L", False) in free:
            return "L", False
        read = {ref.key for equation in self.document.forward for ref in refs(equation)}
        final = [key for key in free if key not in read] or free
        return final[0] if len(final) == 1 else None

    def _classes(self) -> Iterable[Key]:
        for equation in self.document.forward:
            for node in walk(equation.rhs):
                if isinstance(node, Call) and node.function in ("onehot", "cross_entropy"):
                    label = node.args[-1]
                    if isinstance(label, Ref) and label.key in self.leaves:
                        yield label.key

    # -- which equation defines which step ----------------------------------------------------------------------------
    def coverage(self, equations: Sequence[Equation], T: int) -> dict[int, Equation]:
        """For each step the equation that defines it: a fixed step or a condition takes precedence over neither."""
        found: dict[int, Equation] = {}
        general = [e for e in equations if not e.fixed and e.when is None]
        for equation in equations:
            if equation not in general:
                for step in equation.covers(T):
                    if step in found:
                        raise self._twice(
                            found[step], equation, f"at t = {step}" + (f" (T = {T})" if equation.fixed else "")
                        )
                    found[step] = equation
        for equation in general:
            for step in equation.covers(T):
                found.setdefault(step, equation)
        return found

    def _check_overlaps(self, equations: list[Equation]) -> None:
        seen: dict[str, Equation] = {}
        for equation in equations:
            if equation.when is None and equation.name in seen:
                raise self._twice(seen[equation.name], equation, "")
            if equation.when is None:
                seen[equation.name] = equation
        general = [e for e in equations if not e.fixed and e.when is None and e.target.index]
        if len(general) > 1:
            raise self._twice(general[0], general[1], "")
        if len(equations) > 1 and equations[0].target.index:
            errors = []
            for T in (6, 7, 9):
                try:
                    self.coverage(equations, T)
                except LanguageError as error:
                    errors.append(error)
            if len(errors) == 3:
                raise errors[0]

    def _twice(self, first: Equation, second: Equation, when: str) -> Exception:
        return self.source.error(
            f"{second.name} is defined twice{' ' + when if when else ''}",
            second.target.span,
            notes=[f"line {first.line} says   {first.text}", f"line {second.line} says   {second.text}"],
            hint="keep one of them, or give each a condition such as: for t < T",
        )

    # -- names --------------------------------------------------------------------------------------------------------
    def _check_indices(self) -> None:
        for key in self.used:
            other = (key[0], not key[1])
            if other not in self.used or (key in self.defined and other in self.defined):
                continue
            wrong = key if key not in self.defined and (other in self.defined or not key[1]) else other
            if wrong in self.defined:
                continue
            right = self.used[(wrong[0], not wrong[1])]
            missing = "needs a time index" if not wrong[1] else "has no time index"
            raise self.source.error(
                f"{wrong[0]} {missing} here",
                self.used[wrong].span,
                hint=f"it is {show(right.key)} on line {right.span.line}",
            )

    def _check_sizes(self) -> None:
        names = {name for name, _ in self.used}
        for equation in self.document.gradients:
            names.add(equation.target.name)
        for name, size in self.document.sizes.items():
            if name not in names:
                close = get_close_matches(name, names, 1)
                hint = f"did you mean {close[0]}?" if close else "remove it, or use the name in an equation"
                raise self.source.error(f"no equation uses {name}", size.span or self.source.span(0, 0), hint=hint)

    def _check_helper(self, key: Key, equations: list[Equation]) -> None:
        for equation in equations:
            if key in self.used and not (key[1] and _at_boundary(equation)):
                first = self.used[key]
                raise self.source.error(
                    f"{show(key)} belongs to the forward equations (line {first.span.line})",
                    equation.target.span,
                    hint=f"its gradient is called d{show(key)}; "
                    f"only steps outside the sequence, as {key[0]}[T+1] = 0, may be stated here",
                )

    def _check_misspelt(self) -> None:
        """A target like `dss[t]` that no equation reads is hardly a helper: more likely a gradient, misspelt."""
        read = {ref.key for equation in self.document.gradients for ref in refs(equation)}
        gradients = [f"d{show(key)}" for key in self.used if key not in self.classes]
        for key, equations in self.helpers.items():
            if key in read or not key[0].startswith("d"):
                continue
            near = get_close_matches(show(key), gradients, n=1, cutoff=0.5)
            raise self.source.error(
                f"there is no quantity {key[0][1:]}, and nothing reads {show(key)}",
                equations[0].target.span,
                hint=f"did you mean {near[0]} ?" if near else f"gradients are called {listed(gradients[:8])}",
            )

    def _check_known(self, ref: Ref) -> None:
        if ref.key in self.used or ref.key in self.helpers or self.base(ref.key):
            return
        name, indexed = ref.key
        other = (name, not indexed)
        if other in self.used or other in self.helpers or self.base(other):
            missing = "needs a time index" if other[1] else "has no time index"
            raise self.source.error(f"{name} {missing} here", ref.span, hint=f"expected {show(other)}")
        known = {*(key[0] for key in (*self.used, *self.helpers)), *(f"d{key[0]}" for key in self.used)}
        close = get_close_matches(name, sorted(known), 2)
        hint = (
            f"did you mean {listed(close)}?"
            if close
            else "expected a name of the forward equations, d and such a name, or a helper"
        )
        raise self.source.error(f"{name} is defined nowhere", ref.span, hint=hint)


def _by_target(equations: Iterable[Equation]) -> dict[Key, list[Equation]]:
    found: dict[Key, list[Equation]] = {}
    for equation in equations:
        found.setdefault(equation.target.key, []).append(equation)
    return found


def _at_boundary(equation: Equation) -> bool:
    index = equation.target.index
    if index is None or not equation.fixed:
        return False
    return index.offset <= 0 if index.variable is None else index.offset > 0
