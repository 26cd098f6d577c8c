"""What is told beside the verdicts: gaps, one length alone, sizes that are equal everywhere, what is not stated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..language import Equation, Model
from ..language.syntax.indices import Condition
from ..language.text.printer import text
from ..system.affine_system import claim_of
from ..system.existence import sums
from .every_length import EveryLength
from .measure.trials import SHORTEST, Trial
from .results import Row, lengths_text

#: so many steps without an equation are named one by one
MOST_STEPS = 4


def remarks(
    model: Model,
    tried: Sequence[Trial],
    rows: Sequence[Row],
    asked: EveryLength,
    shortest: int,
    one_length: int | None,
    gaps: Mapping[str, str],
) -> list[str]:
    """What is told about a derivation beside its verdicts. `asked`: of every length; `one_length`: the length, where
    one alone was asked for; `gaps`: what is read where nothing states it, at lengths that were not tried.
    """
    others = asked.others
    T = next(iter(tried[0].lengths.values()))
    notes = []
    if shortest > T:
        shown = "a recurrence" if shortest == SHORTEST else f"a delay of {model.longest_delay} steps"
        notes.append(f"T = {T} cannot show {shown} with both its ends: use T = {shortest} or more")
    if one_length is not None:
        notes.append(f"one length was used, T = {T}: what holds at this length alone is not seen")
    if model.found_rows:
        notes.append("vectors are read as rows: as columns they do not fit (say so by   vectors: rows)")
    if model.document.samples:
        notes.append(f"{model.document.samples} columns are given: names are matrices with a column for each sample")
    notes += _read_but_not_stated(rows)
    notes += [f"at {at}, which was not tried, {name} is read where nothing states it" for name, at in gaps.items()]
    notes += asked.told("whether each condition holds somewhere", lambda: never_holds(asked), [])
    notes += _set_apart(model, tried)
    alike = _alike(model, tried)
    if alike:
        notes.append(f"{alike} have one size in every probe: square matrices hide transposes")
    stated = {model.quantities.base(e.target.key) for e in (*model.gradients, *others)}
    left = _steps_left_out(asked, tried[0].lengths)
    missing = [f"d{name}" for name in model.parameters if (name, False) not in stated] + left
    missing = [name for name in missing if name.partition("[")[0] not in model.document.given]
    if missing:
        notes.append(f"not stated, so not judged: {', '.join(missing)}")
    return notes + asked.undecided


def _read_but_not_stated(rows: Sequence[Row]) -> list[str]:
    """All gaps at once, with who reads them."""
    readers: dict[str, list[str]] = {}
    for row in rows:
        for need in row.needs:
            readers.setdefault(need, []).append(row.name)
    if not readers:
        return []
    said = ", ".join(f"{need} (in {', '.join(names)})" for need, names in readers.items())
    names = list(dict.fromkeys(need.partition("[")[0] for need in readers if need.startswith("d")))
    inside = [name for name in names if any(n.partition("[")[0] == name and "+" not in n for n in readers)]
    ways = "state them" + (f", or declare   given: {', '.join(inside)}" if inside else "")
    return [f"read but neither stated nor given: {said}; {ways}"]


def _set_apart(model: Model, tried: Sequence[Trial]) -> list[str]:
    """Sizes that are declared equal, and were tried as different ones."""
    apart = []
    for names in _equal(Trial(model, {}).sizes):
        if any(len({trial.sizes[name] for name in names}) > 1 for trial in tried):
            apart.append(", ".join(names))
    return [f"{names} are declared with one size; different ones were tried" for names in apart]


def _equal(sizes: Mapping[str, str]) -> list[list[str]]:
    """The names of equal sizes, beside 1."""
    alike: dict[str, list[str]] = {}
    for name, size in sizes.items():
        if size != "1":
            alike.setdefault(size, []).append(name)
    return [names for names in alike.values() if len(names) > 1]


def _alike(model: Model, tried: Sequence[Trial]) -> str:
    """Declared sizes that are equal wherever they were tried, where a matrix is square for it."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in model.document.sizes:
        sizes = tuple(trial.sizes[name] for trial in tried)
        if set(sizes) != {"1"} and all(_has_square(trial, name) for trial in tried):
            alike.setdefault(sizes, []).append(name)
    return "; ".join(", ".join(names) for names in alike.values() if len(names) > 1)


def _has_square(trial: Trial, name: str) -> bool:
    """Whether a matrix has the declared size of a name both ways."""
    size = trial.model.document.sizes[name]
    return size.columns in (None, size.rows) and (size.rows, size.rows) in trial.model.shapes.values()


def _steps_left_out(asked: EveryLength, lengths: Mapping[str, int]) -> list[str]:
    """Steps at which a quantity has a value but no stated gradient, though other steps of it are stated."""
    missing: list[str] = []
    for at, steps in asked.left_out(lengths):
        named: dict[str, list[str]] = {}
        for name, step in steps:
            pairs = zip(step, asked.model.quantities.ranges_of(name), strict=True)
            places = [str(within.last if i == within.last.at(at) else i) for i, within in pairs]
            where = "" if at == lengths else f" ({lengths_text(at)})"
            named.setdefault(name, []).append(f"{name}[{', '.join(places)}]{where}")
        for left in named.values():
            missing += left if len(left) <= MOST_STEPS else [*left[:2], "…", left[-1]]
    return missing


def never_holds(asked: EveryLength) -> list[str]:
    """Conditions, of equations or of sums in them, that no length makes true; those of a helper, where it is read."""
    said = []
    for equation in (*asked.model.forward, *asked.model.gradients):
        clause = claim_of(equation)
        if clause.domain.is_empty:
            said += [_never(condition, equation) for condition in equation.when if condition.tests]
            continue
        read_at = asked.read_at(clause)
        for condition, domain in sums(equation.rhs, clause.domain):
            if condition.tests and domain.is_empty:
                said.append(_never(condition, equation))
            elif condition.tests and read_at and not any(domain.meets(where) for where in read_at):
                said.append(f"{_never(condition, equation)} where {equation.target.name} is read")
    return list(dict.fromkeys(said))


def _never(condition: Condition, equation: Equation) -> str:
    return f"the condition {text(condition)} of {equation.name} (line {equation.line}) never holds"
