"""Whether gradient equations can be used: ordered in time, each reading only what the file states or declares given.

Judged on what the equations read, not on any value: an equation that reads itself, alone or through others, agrees with
every reference value and computes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from ..core.loop.components import components
from ..language import Equation, Evaluator, Model, Run
from ..language.run.resolver import Place
from ..language.syntax.indices import Lengths, Step, numbers
from .results import CIRCULAR, FAIL, Row


def said_lengths(lengths: Lengths) -> str:
    """`T = 4, S = 5`."""
    return ", ".join(f"{name} = {length}" for name, length in lengths.items())


#: so many single steps are named one by one
MOST_NAMED = 3


@dataclass
class Usable:
    """By the id of an equation: the circle it stands in, as `dh[3] <- g[3] <- dh[3]`; and what it reads that is neither
    stated nor given, as `dh[T+1]`.
    """

    circles: dict[int, str] = field(default_factory=dict)
    needs: dict[int, list[str]] = field(default_factory=dict)
    #: what lacks at lengths that were not tried, with the first of them: `dh[9]`, `T = 10`
    late: dict[str, str] = field(default_factory=dict)

    def __add__(self, other: Usable) -> Usable:
        both = {key: [*self.needs.get(key, []), *other.needs.get(key, [])] for key in self.needs | other.needs}
        needs = {key: list(dict.fromkeys(names)) for key, names in both.items()}
        return Usable(other.circles | self.circles, needs, other.late | self.late)

    def at(self, lengths: Lengths) -> Usable:
        """The same, said of lengths that were not tried."""
        said = said_lengths(lengths)
        circles = {key: f"{circle}` at `{said}" for key, circle in self.circles.items()}
        return Usable(circles, self.needs, {name: said for names in self.needs.values() for name in names})


def usable(model: Model, run: Run, failing: Collection[int] = (), others: Iterable[Equation] = ()) -> Usable:
    """The circles and the gaps of a model's gradient equations, at the lengths of a run; equations with the ids
    `failing` are wrong in themselves and make no circle, `others` are those of the file that the model leaves out.

    >>> from tinygrad_rnn.language import load
    >>> forward = "sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(h[T])\\n"
    >>> model = load(forward + "gradients:\\ndh[t] = dh[t]\\ndW = dW + dh[T+1] @ h[0].T")
    >>> found = usable(model, model.unroll(4))
    >>> sorted(found.circles.values()), list(found.needs.values())
    (['dW <- dW', 'dh[1] <- dh[1]'], [['dh[T+1]']])
    """
    evaluator = Evaluator(model, run)
    reads: dict[Place, list[Place]] = {}
    outside = {(equation.target.name, step) for equation in others for step in equation.covers(run.lengths) or [None]}
    stated_by: dict[Place, Equation] = {}
    missing: dict[int, dict[Place, None]] = {}
    for equation in model.gradients:
        for step in model.steps_of(equation, run.lengths):
            here = (equation.target.name, step)
            stated_by[here] = equation
            reads[here] = []
            for place, _, _ in evaluator.needs(equation, step):
                if _is_stated(model, evaluator, place):
                    reads[here] += [] if id(equation) in failing else [place]
                elif place not in run.values and place not in outside and not _is_given(model, evaluator, place):
                    missing.setdefault(id(equation), {})[place] = None
    found = Usable()
    for circle in components(reads):
        if len(circle) == 1 and circle[0] not in reads[circle[0]]:
            continue
        names = [_named(place) for place in circle]
        said = " <- ".join([*names[:4], *(["…"] if len(names) > 4 else []), names[0]])
        for place in circle:
            found.circles.setdefault(id(stated_by[place]), said)
    found.needs = {key: _said(places, model, evaluator) for key, places in missing.items()}
    return found


def _is_stated(model: Model, evaluator: Evaluator, place: Place) -> bool:
    name, step = place
    if place in evaluator.run.values:
        return False
    if step is None:
        return (name, False) in model.quantities.stated
    return step in evaluator.coverage.get((name, True), {})


def _is_given(model: Model, evaluator: Evaluator, place: Place) -> bool:
    """Whether a gradient may be read although nothing states it: declared given, or that of the loss, which is 1."""
    name, step = place
    base = model.quantities.base((name, step is not None))
    if base is None or (step is not None and not evaluator.inside(place)):
        return False
    return name in model.document.given or base == model.quantities.loss


def _said(places: Iterable[Place], model: Model, evaluator: Evaluator) -> list[str]:
    """Names of what lacks: from the ends where it lies beyond them, for all steps at once where none is stated."""
    found: dict[str, list[Step]] = {}
    for name, step in places:
        found.setdefault(name, []).append(step)
    said: list[str] = []
    for name, steps in found.items():
        beyond = [evaluator.behind((name, step)) or _named((name, step)) for step in steps
                  if step is not None and not evaluator.inside((name, step))]  # fmt: skip
        inside = [step for step in steps if step is None or evaluator.inside((name, step))]
        said += dict.fromkeys(beyond[:MOST_NAMED])
        if not inside:
            continue
        if None in inside:
            said.append(name)
        elif len(inside) > MOST_NAMED or (name, True) not in model.quantities.stated:
            base = model.quantities.base((name, True))
            said.append(f"{name}[{', '.join(model.quantities.axes_named(base[0] if base and base[1] else name))}]")
        else:
            said += [_from_the_end((name, step), evaluator) for step in inside]
    return said


def _from_the_end(place: Place, evaluator: Evaluator) -> str:
    """`dh[T]` for the last step."""
    name, step = place
    ranges = evaluator.shapes.quantities.ranges_of(name)
    pairs = zip(numbers(step), ranges, strict=True)
    at = (str(within.last if at == within.last.at(evaluator.lengths) else at) for at, within in pairs)
    return f"{name}[{', '.join(at)}]"


def _named(place: Place) -> str:
    return place[0] if place[1] is None else f"{place[0]}[{', '.join(map(str, numbers(place[1])))}]"


def in_order(equation: Equation, row: Row, order: Usable) -> Row:
    """A row with what it reads that nothing states, and CIRCULAR where it reads itself."""
    row = replace(row, needs=tuple(order.needs.get(id(equation), ())))
    if row.verdict == FAIL or id(equation) not in order.circles:
        return row
    said = f"it reads itself: `{order.circles[id(equation)]}`"
    return replace(row, verdict=CIRCULAR, mistake="circle", explanation=said)
