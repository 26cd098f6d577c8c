"""Which lengths and sizes a derivation is tried at: a number that fits one of them must not make anything right.

Two lengths, one even and one odd, neither of which nor whose neighbours are a number of the file; sizes pairwise
different, where the forward equations leave them free. How a verdict follows stands in `judge`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...core.errors import GraphError, LanguageError
from ...language import Equation, Model
from ...language.expressions import Number, Size, walk
from ...language.run.unroll import MOST_STEPS
from ...language.types.dimensions import Dimension
from ..claims import Claims, Fault, claims_of
from ..every_length import LONGEST, SHORTEST, EveryLength, indices_of, reach
from .budget import check_bytes, check_size, is_quick

#: so many lengths more are tried
MOST_MORE = 4
#: sizes come from here on: 1 is another type, and 2 is a number that formulas are full of
SMALLEST_SIZE = 3


@dataclass(frozen=True)
class Trial:
    """A model with the sizes, and the lengths, at which it is run; `faults` have shapes at the declared sizes alone."""

    model: Model
    lengths: Mapping[str, int]
    faults: tuple[Fault, ...] = ()

    @property
    def sizes(self) -> dict[str, str]:
        """The declared sizes, as `4` or `4 x 3`."""
        return {name: _said(size) for name, size in self.model.document.sizes.items()}


def trials(
    model: Model,
    T: int | None = None,
    lengths: Mapping[str, int] | None = None,
    values: Mapping[Any, Any] | None = None,
    also: Sequence[Equation] = (),
) -> list[Trial]:
    """The trials of a model: two of other lengths and sizes, or one for a given T; sizes stay where `values` are given.
    More where a case or a sum of the file stands at neither of the two lengths.

    What the equations of `also` mention counts too: those of the file that the model leaves out.

    >>> from tinygrad_rnn.language import load
    >>> model = load("sizes: x = 3, h = 4\\nh[t] = tanh(W @ h[t-1] + U @ x[t])\\nL = sum(h[T])")
    >>> [(dict(trial.lengths), trial.sizes) for trial in trials(model)]
    [({'T': 6}, {'x': '3', 'h': '4'}), ({'T': 7}, {'x': '4', 'h': '3'})]
    """
    T = T or _given_steps(model, values)
    for name, length in {**({next(iter(model.lengths(1))): T} if T else {}), **(lengths or {})}.items():
        if name not in model.lengths(1):
            raise GraphError(f"this model has no length {name}: it has {', '.join(model.lengths(1))}")
        if not 1 <= length <= MOST_STEPS:
            raise GraphError(f"a derivation is judged over 1 to {MOST_STEPS:,} steps, not over {name} = {length}")
    free = _free(numbers_of(model, also), max(SHORTEST, reach(model, also) + 2))
    chosen = [model.lengths(T, lengths)] if T else _lengths(list(model.lengths(1)), free, lengths or {})
    if not T and not all(is_quick(model, each) for each in chosen):  # shorter ones, although the file may mention them
        chosen = _shortest(model, max(SHORTEST, reach(model, also) + 2), lengths or {})
    for each in chosen:
        check_size(model, each, asked=bool(T or lengths))
        check_bytes(model, each)
    used = {n for each in chosen for length in each.values() for n in (length - 1, length, length + 1)}
    one = two = Claims(model)
    if not values:
        one = _apart(model, used) or one
        two = resized(model, used | _literals(model, also)) or one
    more = [] if T or lengths else more_lengths(model, also, chosen)
    pairs = [(one, chosen[0])] if len(chosen) == 1 and two is one else [(one, chosen[0]), (two, chosen[-1])]
    return [Trial(claims.model, each, claims.faults) for claims, each in [*pairs, *((one, each) for each in more)]]


def more_lengths(model: Model, also: Sequence[Equation], tried: Sequence[Mapping[str, int]]) -> list[dict[str, int]]:
    """The lengths beside those tried at which something of the file happens that does not happen there; those that are
    quick.
    """
    unseen = EveryLength(model, also).unseen(tried)
    return [each for _, each in unseen if is_quick(model, each)][:MOST_MORE]


# -- what a file mentions ---------------------------------------------------------------------------------------------
def numbers_of(model: Model, also: Sequence[Equation] = ()) -> set[int]:
    """Every whole number that the file mentions: in formulas, indices, conditions and sizes."""
    whole = _literals(model, also)
    for size in model.document.sizes.values():
        whole |= {size.rows, size.columns or 1}
    return whole | {n for shape in model.shapes.values() for n in shape}


def _literals(model: Model, also: Sequence[Equation] = ()) -> set[int]:
    """The whole numbers of the equations."""
    whole: set[int] = set()
    for equation in (*model.forward, *model.gradients, *also):
        whole |= {int(n.value) for n in walk(equation.rhs) if isinstance(n, Number) and float(n.value).is_integer()}
        whole |= {abs(index.constant) for index in indices_of(equation)}
    return whole


# -- lengths ----------------------------------------------------------------------------------------------------------
def _free(numbers: set[int], shortest: int) -> list[int]:
    """Lengths from `shortest` on that the file does not mention, nor their neighbours; the first few."""
    taken = {n + near for n in numbers for near in (-1, 0, 1)}
    return [n for n in range(min(shortest, LONGEST), LONGEST + 3 * len(taken) + 60) if n not in taken][:24]


def _lengths(names: list[str], free: list[int], asked: Mapping[str, int]) -> list[dict[str, int]]:
    """Two choices of all lengths: the main one even and odd; others apart from it, once above and once below."""
    first = free[0]
    second = next(n for n in free if (n - first) % 2)
    chosen = [{names[0]: first}, {names[0]: second}]
    if len(names) > 1:
        second = chosen[1][names[0]] = next(n for n in free if (n - first) % 2 and n > first + 2)
        for position, name in enumerate(names[1:]):
            taken = set(chosen[0].values())
            chosen[0][name] = next(n for n in free if n > max(taken) + 1 and n != second + position)
            chosen[1][name] = free[position]
            if abs(chosen[1][name] - second) < 2 or chosen[1][name] in list(chosen[1].values())[:-1]:
                chosen[1][name] = next(n for n in free if n > max(chosen[1].values()) + 1)
    return [{name: asked.get(name, each[name]) for name in names} for each in chosen]


def _shortest(model: Model, shortest: int, asked: Mapping[str, int]) -> list[dict[str, int]]:
    """Two choices of the shortest lengths, each even once and odd once; two apart where that is quick, else by one."""
    chosen: list[dict[str, int]] = []
    for pairs in (((0, 2), (1, 3)), ((0, 1), (1, 0))):
        offsets = [[pair[position % 2] for pair in pairs] for position in range(len(model.lengths(1)))]
        names = list(zip(model.lengths(1), offsets, strict=True))
        chosen = [{name: asked.get(name, shortest + each[n]) for name, each in names} for n in (0, 1)]
        if all(is_quick(model, each) for each in chosen):
            break
    return chosen


def _given_steps(model: Model, values: Mapping[Any, Any] | None) -> int | None:
    """How many steps the given values last, where one is a sequence."""
    timed = {key[0] for key in model.quantities.leaves if key[1]}
    steps = [len(value) for name, value in (values or {}).items() if name in timed and hasattr(value, "__len__")]
    return min(steps, default=None)


# -- sizes ------------------------------------------------------------------------------------------------------------
def _apart(model: Model, avoided: set[int]) -> Claims | None:
    """The model with some sizes changed where two are equal that need not be; None where there is nothing to change."""
    sizes = list(_declared(model).values())
    return None if len(set(sizes)) == len(sizes) else resized(model, avoided, keep=True)


def resized(model: Model, avoided: set[int], keep: bool = False) -> Claims | None:
    """The model with pairwise different sizes, none of them `avoided` nor (unless `keep`) as it was; None where the
    equations force the sizes that are declared.
    """
    declared, shapes = _declared(model), model.shapes_
    totals = {whole for _, whole in shapes.sums}
    literal = {dimension.root() for dimension in shapes.literal}
    chosen = {one: size for one, size in declared.items() if one.root() in literal}
    for one, size in sorted(declared.items(), key=lambda item: -item[1]):
        if one in chosen or one in totals:
            continue
        taken = set(chosen.values())
        low = max(SMALLEST_SIZE, size) if keep else SMALLEST_SIZE
        if not keep or size in taken:
            taken |= avoided | {size}
        chosen[one] = next(n for n in range(low, 10_000) if n not in taken)
    for _ in shapes.sums:
        for parts, whole in shapes.sums:
            if whole not in chosen:
                chosen[whole] = sum(chosen.get(part, part.size or 1) for part in parts)
    sizes = {name: _replaced(size, model, name, chosen) for name, size in model.document.sizes.items()}
    if sizes == model.document.sizes:
        return None
    try:
        claims = claims_of(replace(model.document, sizes=sizes))
    except LanguageError:
        return None
    claims.model.name = model.name
    return claims


def _declared(model: Model) -> dict[Dimension, int]:
    """The declared sizes, each class of those that the forward equations make equal once; 1 is a type of its own."""
    sizes: dict[Dimension, int] = {}
    for name in model.document.sizes:
        for key in ((name, True), (name, False)):
            for one in model.shapes_.classes.get(key, ()):
                if one.size is not None and one.size > 1:
                    sizes[one] = one.size
    return sizes


def _replaced(size: Size, model: Model, name: str, chosen: Mapping[Dimension, int]) -> Size:
    classes = model.shapes_.classes
    key = next((key for key in ((name, True), (name, False)) if key in classes), None)
    if key is None:
        return size
    rows, columns = classes[key]
    along = columns if model.convention.rows and size.columns is None else rows
    return replace(
        size,
        rows=chosen.get(along, size.rows),
        columns=None if size.columns is None else chosen.get(columns, size.columns),
    )


def _said(size: Size) -> str:
    return str(size.rows) if size.columns is None else f"{size.rows} x {size.columns}"
