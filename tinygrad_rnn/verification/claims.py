"""Which gradient equations of a file can be judged: one bad line ends nothing.

What has no meaning by itself (shapes that do not fit, a left side that is no quantity, a name that is defined nowhere)
is set aside with its error, and so is what reads a helper that is set aside; a gradient stated twice is two claims,
each judged by itself. The forward equations have to be right: without them there is nothing to judge by. A number
divided by zero is an error of the file wherever it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..core.errors import LanguageError
from ..language import Equation, Model
from ..language.expressions import Binary, Document, NoQuantity, Size, walk
from ..language.types.powers import check_divisor
from ..language.types.quantities import Key, refs
from .results import ILL_TYPED, INCONCLUSIVE


@dataclass(frozen=True)
class Fault:
    """An equation that has no meaning: its verdict, and why."""

    equation: Equation
    verdict: str
    error: LanguageError


@dataclass(frozen=True)
class Claims:
    """The model of all equations that have a meaning together, the equations that have none, and those that state once
    more what others state, each with a model of its own in which it takes their place; and the lines whose left
    side is no quantity.
    """

    model: Model
    faults: tuple[Fault, ...] = ()
    again: tuple[tuple[Equation, Model], ...] = ()
    no_quantities: tuple[NoQuantity, ...] = ()

    @property
    def others(self) -> list[Equation]:
        """The equations of the file that the model leaves out."""
        return [*(fault.equation for fault in self.faults), *(equation for equation, _ in self.again)]


def claims_of(document: Document, lengths: Sequence[Mapping[str, int]] = ()) -> Claims:
    """The claims of a document. Raises `LanguageError` for what is wrong outside of its gradient equations, and
    for a divisor that is zero.

    `lengths`: overlaps are looked for at these lengths too.

    >>> from tinygrad_rnn.language import parse
    >>> forward = "sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(h[T])\\n"
    >>> claims = claims_of(parse(forward + "gradients:\\ndW = 1 + dh[1]\\ndq = 1"))
    >>> sorted((fault.equation.name, fault.verdict) for fault in claims.faults)
    [('dW', 'ILL-TYPED'), ('dq', 'ILL-TYPED')]
    """
    no_quantities, document = document.no_quantities, replace(document, no_quantities=())
    for node in (node for equation in document.gradients for node in walk(equation.rhs)):
        if isinstance(node, Binary):
            check_divisor(node, document.source)
    kept, removed = list(document.gradients), []
    while True:
        try:
            model = Model(replace(document, gradients=tuple(kept)))
            _check_coverage(model, lengths)
            break
        except LanguageError as error:
            wrong = _stated_at(error, kept, document)
            if wrong is None:
                raise
            kept = [equation for equation in kept if equation is not wrong]
            removed.append((wrong, error))
    faults: list[Fault] = []
    again: list[tuple[Equation, Model]] = []
    nowhere: set[Key] = set()  # the helpers among them: a gradient has its meaning from what it is the gradient of
    for equation, fault in removed:
        instead = _instead(equation, kept, document, lengths)
        if instead is not None:
            again.append((equation, instead))
            continue
        reads_it = any(ref.key in nowhere for ref in refs(equation))
        key = equation.target.key
        if model.quantities.base(key) is None and key not in model.quantities.defined:
            nowhere.add(key)
        faults.append(Fault(equation, INCONCLUSIVE if reads_it else ILL_TYPED, fault))
    return Claims(model, tuple(faults), tuple(again), no_quantities)


def _check_coverage(model: Model, lengths: Sequence[Mapping[str, int]]) -> None:
    for each in lengths:
        for equations in model.quantities.stated.values():
            model.quantities.coverage(equations, each)


def _stated_at(error: LanguageError, kept: list[Equation], document: Document) -> Equation | None:
    """The gradient equation on whose lines an error stands; None for an error of the rest of the file."""
    first = min((equation.line for equation in document.gradients), default=0)
    before = [equation for equation in kept if equation.line <= error.line]
    if not before or error.line < first or any(e.line == error.line for e in document.forward):
        return None
    return max(before, key=lambda equation: equation.line)


def _instead(
    equation: Equation, kept: list[Equation], document: Document, lengths: Sequence[Mapping[str, int]]
) -> Model | None:
    """A model in which an equation is stated in the place of those for the same steps; None if it has no meaning."""
    key: Key = equation.target.key
    rivals = [other for other in kept if other.target.key == key]
    if not rivals:
        return None
    for others in ([other for other in rivals if other.name != equation.name], []):
        gradients = [e for e in kept if e.target.key != key or any(e is other for other in others)]
        try:
            model = Model(replace(document, gradients=(*gradients, equation)))
            _check_coverage(model, lengths)
        except LanguageError:
            continue
        return model
    return None


def typed_by_a_size(model: Model, faults: Sequence[Fault]) -> list[str]:
    """What to declare, if lines whose shapes do not fit all do where one quantity, now a column, is a number."""
    if all(fault.verdict != ILL_TYPED for fault in faults):
        return []
    equations = sorted((*model.document.gradients, *(fault.equation for fault in faults)), key=lambda e: e.line)
    document = replace(model.document, gradients=tuple(equations))
    for name, indexed in model.quantities.used:
        rows, columns = model.shapes_.names[name, indexed]
        if name not in document.sizes and rows > columns == 1:
            try:
                claims = claims_of(replace(document, sizes={**document.sizes, name: Size(1)}))
            except LanguageError:
                continue
            if not claims.faults:
                return [f"the shapes of every line fit if {name} is one number: declare   sizes: {name} = 1"]
    return []
