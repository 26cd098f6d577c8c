"""Which name is what: input, parameter, state, loss; whose gradient an equation states; which step it covers.

`L` and `L[t]` are two quantities, so a quantity is known here by a key: its name and whether it has an index. What its
indices run over is in `axes`: ("t",) for h[t], ("t", "s") for alpha[t, s].
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from ...core.errors import LanguageError
from ..expressions import Call, Document, Equation, Ref, walk
from ..syntax.indices import Lengths, Range, Step, as_lengths
from ..syntax.source import listed
from .axes import axes_of

Key = tuple[str, bool]


def refs(equation: Equation) -> Iterable[Ref]:
    """The quantities a right-hand side names, in order."""
    return (node for node in walk(equation.rhs) if isinstance(node, Ref))


class Quantities:
    """The quantities of a document. Raises `LanguageError` for names that are undefined, ambiguous or defined twice."""

    def __init__(self, document: Document) -> None:
        self.document, self.source = document, document.source
        self.axes = axes_of(document)
        self.defined = _by_target(document.forward)
        self.used: dict[Key, Ref] = {}
        for equation in document.forward:
            self.used.setdefault(equation.target.key, equation.target)
            for ref in refs(equation):
                self.used.setdefault(ref.key, ref)
        self.boundary_only = {
            key
            for key, equations in self.defined.items()
            if key[1] and all(self._at_boundary(equation) for equation in equations)
        }
        self.leaves = [key for key in self.used if key not in self.defined or key in self.boundary_only]
        self.labels = {key: self.document.labels[key[0]].kind for key in self.leaves if key[0] in document.labels}
        self.classes = set(self._classes())
        given = {(name, False) for name in (*document.inputs, *document.fixed)}
        self.inputs = [
            key for key in self.leaves if key[1] or key in self.classes or key in self.labels or key in given
        ]
        self.parameters = [key for key in self.leaves if key not in self.inputs]
        self._check_given()
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

    def show(self, key: Key) -> str:
        """`h[t]`, `alpha[t, s]` or `W`."""
        return f"{key[0]}[{', '.join(self.axes_named(key[0]))}]" if key[1] else key[0]

    def axes_named(self, name: str) -> tuple[str, ...]:
        """The index variables of a quantity (or, for dX, of X)."""
        return self.axes.get(name) or self.axes.get(name[1:]) or (next(iter(self.document.indices)),)

    def axes_in(self, equation: Equation) -> tuple[str, ...]:
        """The index variables of what an equation states, in its own letters: k of `dh[k]` where no k is declared."""
        axes = self.axes_named(equation.target.name)
        pairs = zip(axes, equation.target.indices, strict=False)
        own = tuple(str(index) if index.running == (str(index),) else axis for axis, index in pairs)
        return own or axes

    def ranges_of(self, name: str) -> tuple[Range, ...]:
        """What the indices of a quantity (or, for dX, of X) run over."""
        return tuple(self.document.indices[axis] for axis in self.axes_named(name))

    # -- roles --------------------------------------------------------------------------------------------------------
    def base(self, key: Key) -> Key | None:
        """The forward quantity X when the key says dX; for a per-step copy dW[t] it is the parameter W."""
        name, indexed = key
        if name in self.document.plays:
            return self.document.plays[name], indexed
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
        outside = self._at_boundary(equation) and not self._before_the_start(equation)
        return "boundary" if outside else "gradient"

    @property
    def states(self) -> list[Key]:
        """Defined quantities that are read at another step than their own."""
        found = {
            ref.key: None
            for equation in self.document.forward
            for ref in refs(equation)
            if ref.key in self.defined and _elsewhere(ref, equation.target)
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
        """The leaves that are class numbers: under onehot, or the target of a cross entropy without a size.

        A target with a size is a column: a distribution, so its entries are positive and their sum is one.
        """
        numbered = {key for equation in self.document.gradients for key in self._targets(equation, "onehot")}
        for equation in self.document.forward:
            numbered.update(self._targets(equation, "onehot"))
        yield from numbered - self.labels.keys()
        for equation in self.document.forward:
            for key in self._targets(equation, "cross_entropy"):
                if key[0] not in self.document.sizes and key not in self.labels:
                    yield key
                elif key not in numbered:
                    self.labels.setdefault(key, "simplex")

    def _targets(self, equation: Equation, function: str) -> Iterable[Key]:
        """The leaves that stand last in the calls of a function."""
        for node in walk(equation.rhs):
            if isinstance(node, Call) and node.function == function:
                label = node.args[-1]
                if isinstance(label, Ref) and label.key in self.leaves:
                    yield label.key

    # -- which equation defines which step ----------------------------------------------------------------------------
    def coverage(self, equations: Sequence[Equation], lengths: int | Lengths) -> dict[Step, Equation]:
        """For each step the equation that defines it: narrower ones, which may not overlap, before the others."""
        lengths = as_lengths(lengths)
        found: dict[Step, Equation] = {}
        for narrowness in (2, 1, 0):
            fresh: dict[Step, Equation] = {}
            for equation in equations:
                if equation.narrowness == narrowness:
                    for step in equation.covers(lengths):
                        if step in fresh and narrowness:
                            raise self._twice(fresh[step], equation, _told(equation, step, lengths))
                        fresh.setdefault(step, equation)
            found = {**fresh, **found}
        return found

    def _check_overlaps(self, equations: list[Equation]) -> None:
        seen: dict[str, Equation] = {}
        for equation in equations:
            if not equation.when and equation.name in seen:
                raise self._twice(seen[equation.name], equation, "")
            if not equation.when:
                seen[equation.name] = equation
        general = [e for e in equations if e.target.index and e.narrowness == 0]
        if len(general) > 1:
            raise self._twice(general[0], general[1], "")
        if len(equations) > 1 and equations[0].target.index:
            errors = []
            for T in (6, 7, 9):
                try:
                    self.coverage(equations, self.document.lengths(T))
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

    def _at_boundary(self, equation: Equation) -> bool:
        """Whether an equation defines steps outside the sequence only, as h[0] and g[T+1]."""
        indices = equation.target.indices
        ranges = self.ranges_of(equation.target.name)
        return any(within.beyond(index) for index, within in zip(indices, ranges, strict=False) if index.fixed)

    def _before_the_start(self, equation: Equation) -> bool:
        """Whether that is before the first step, where states begin and have gradients."""
        indices = equation.target.indices
        ranges = self.ranges_of(equation.target.name)
        pairs = list(zip(indices, ranges, strict=False))
        return all(index.variable is None or not within.beyond(index) for index, within in pairs)

    @property
    def longest_delay(self) -> int:
        """The most steps that an equation reaches back or ahead; for what happens every nth step, n - 1."""
        found = [0]
        for equation in self.document.forward:
            for ref in refs(equation):
                found += [abs(index.constant) for index in ref.indices if index.terms and index.simple]
            for condition in equation.when:
                found += [test.modulus - 1 for test in condition.tests]
        return max(found)

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
                hint=f"it is {self.show(right.key)} on line {right.span.line}",
            )

    def _check_sizes(self) -> None:
        names = {name for name, _ in self.used}
        for equation in self.document.gradients:
            names.add(equation.target.name)
        document = self.document
        spans = {name: size.span for name, size in document.sizes.items()}
        spans |= {name: bounds.span for name, bounds in document.bounds.items()}
        spans |= {name: label.span for name, label in document.labels.items()}
        for name, span in {**spans, **document.given_at}.items():
            if name not in names:
                close = get_close_matches(name, names, 1)
                hint = (
                    f"did you mean {close[0]}?"
                    if close
                    else f"write {name} in an equation, as in h[t] = tanh({name} + x[t])"
                )
                raise self.source.error(f"no equation uses {name}", span or self.source.span(0, 0), hint=hint)

    def _check_given(self) -> None:
        """`inputs:` and `fixed:` name what no equation defines; what is fixed has no gradient."""
        document = self.document
        for what, names in (("inputs", document.inputs), ("fixed", document.fixed)):
            for name in names:
                span = document.given_at[name]
                key = next((key for key in self.used if key[0] == name), None)
                if key is not None and key not in self.leaves:
                    told = f"{name} is defined on line {self.defined[key][0].line}, not given"
                    raise self.source.error(told, span, hint=f"take it out of {what}:")
                if key is not None and key[1] and what == "inputs":
                    told = f"{self.show(key)} is an input of each step without being told"
                    raise self.source.error(told, span, hint=f"inputs: is for quantities without time; take {name} out")
        for name, label in document.labels.items():
            key = next((key for key in self.used if key[0] == name), None)
            if key is not None and key not in self.leaves:
                told = f"{name} is defined on line {self.defined[key][0].line}, not given"
                raise self.source.error(told, label.span, hint="take it out of labels:")
        known = {f"d{name}" for name, _ in self.used}
        for name, span in document.given.items():
            if name not in known:
                near = get_close_matches(name, sorted(known), 1)
                hint = f"did you mean {near[0]}?" if near else "given: takes gradients, as in   given: dh, do"
                raise self.source.error(f"{name} is the gradient of no quantity", span, hint=hint)
        for equation in document.gradients:
            name = equation.target.name[1:]
            if equation.target.name.startswith("d") and name in document.fixed:
                line = document.given_at[name].line
                raise self.source.error(
                    f"{name} is fixed (line {line}), so it has no gradient", equation.target.span, hint="take this out"
                )

    def _check_helper(self, key: Key, equations: list[Equation]) -> None:
        for equation in equations:
            if key in self.used and not (key[1] and self._at_boundary(equation)):
                first = self.used[key]
                raise self.source.error(
                    f"{self.show(key)} belongs to the forward equations (line {first.span.line})",
                    equation.target.span,
                    hint=f"its gradient is called d{self.show(key)}; "
                    f"only steps outside the sequence, as {key[0]}[T+1] = 0, may be stated here",
                )

    def _check_misspelt(self) -> None:
        """A target like `dss[t]` that no equation reads is hardly a helper: more likely a gradient, misspelt."""
        read = {ref.key for equation in self.document.gradients for ref in refs(equation)}
        gradients = [f"d{self.show(key)}" for key in self.used if key not in self.classes]
        for key, equations in self.helpers.items():
            if key in read or not key[0].startswith("d"):
                continue
            near = get_close_matches(self.show(key), gradients, n=1, cutoff=0.5)
            raise self.source.error(
                f"there is no quantity {key[0][1:]}, and nothing reads {self.show(key)}",
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
            raise self.source.error(f"{name} {missing} here", ref.span, hint=f"expected {self.show(other)}")
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


def _elsewhere(ref: Ref, target: Ref) -> bool:
    """Whether a quantity is read at another step than the one being defined."""
    if not ref.indices or not target.indices:
        return False
    at = {index.variable: index for index in target.indices if not index.fixed}
    shared = [index for index in ref.indices if index.variable in at]
    return any(index != at[index.variable] for index in shared)


def _told(equation: Equation, step: Step, lengths: Lengths) -> str:
    index = equation.target.index
    variable = index.variable if index is not None and not index.fixed else "t"
    said = f"at {variable} = {step}" if isinstance(step, int) else f"at {step}"
    named = ", ".join(f"{name} = {length}" for name, length in lengths.items())
    return f"{said} ({named})" if equation.fixed else said
