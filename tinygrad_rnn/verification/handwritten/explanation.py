"""Say in words how a wrong gradient is wrong, and if that cannot be said, what would help to say it.

First one mistake that explains everything, told at the line that is wrong by itself where backward returns gradients by
step; then what each array is instead of the right one, and in which rows, columns and steps it is wrong, and in which
gate's block of fused weights: gates are called as in the user's own code, `f = sigmoid(a[:, H:2*H])` in a forward
function, or `i, f, o, g = np.split(a, 4, axis=1)`.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from types import FunctionType

import numpy as np

from ..results import FAIL, INCONCLUSIVE, PASS, Row
from .arrays import LeafName
from .compare import Clipped, GradientComparison, clipped, related
from .confirm import FARTHER, SHARE, elsewhere, kinks, one_sided
from .mistakes import FEW_VISITS, MOST_VISITS, MistakeSearch
from .subject import Subject
from .true_gradients import Truth, on_a_kink

#: gates of an LSTM, of a GRU, of simpler cells, of an LSTM with one more
USUAL = (4, 3, 2, 5)


def located(wrong: np.ndarray, blocks: int, gates: list[str]) -> str:
    """Which part of an array is wrong, unless it is all of it: `columns 5 to 9 (block 2 of 4: gate f)`."""
    if wrong.ndim == 0 or wrong.all() or not wrong.any():
        return ""
    parts, ending = [], ""
    for axis in range(wrong.ndim):
        others = tuple(i for i in range(wrong.ndim) if i != axis)
        along = np.any(wrong, axis=others)
        if not along.all():
            stretch = f"{_axis(axis, wrong.ndim)} {_listed(np.flatnonzero(along))}"
            fused = blocks > 1 and axis == wrong.ndim - 1 and wrong.shape[axis] % blocks == 0
            parts.append(stretch + (_gates(along, blocks, gates) if fused else ""))
            if wrong.ndim > 2 and along[:-1].all() and not along[-1]:
                ending = ": right at the last, so what comes back from later steps is wrong"
    if not parts:
        return f"wrong at {int(wrong.sum())} of {wrong.size} entries"
    return f"wrong in {' and '.join(parts)} only{ending}"


def _axis(axis: int, rank: int) -> str:
    if rank == 2:
        return ("rows", "columns")[axis]
    return "entries" if rank == 1 else f"axis {axis} at"


def _listed(indices: np.ndarray) -> str:
    """`2`, or `5 to 9`, or `0, 4, 7`."""
    first, last = int(indices[0]), int(indices[-1])
    if len(indices) > 2 and last - first == len(indices) - 1:
        return f"{first} to {last}"
    shown = [str(int(i)) for i in indices[:6]]
    return ", ".join(shown) + (", ..." if len(indices) > 6 else "")


def _gates(along: np.ndarray, blocks: int, gates: list[str]) -> str:
    """The blocks in which something is wrong."""
    wrong = [i for i, block in enumerate(np.split(along, blocks)) if block.any()]
    if len(wrong) == blocks:
        return ""
    named = [f"gate {gates[i]}" for i in wrong] if len(gates) == blocks else []
    numbers = " and ".join(str(i + 1) for i in wrong)
    which = f"block{'s' if len(wrong) > 1 else ''} {numbers} of {blocks}"
    return f" ({which}{': ' + ' and '.join(named) if named else ''})"


def fused(
    leaf: LeafName, shapes: Mapping[LeafName, tuple[int, ...]], functions: list[FunctionType]
) -> tuple[int, list[str]]:
    """How many gates are fused in the last axis of an array, and what they are called, as far as that is found."""
    counts = blocks_of(leaf, shapes)
    named = [(count, names) for count in counts if (names := gate_names(functions, count))]
    return named[0] if named else (counts[0] if counts else 1, [])


def blocks_of(leaf: LeafName, shapes: Mapping[LeafName, tuple[int, ...]]) -> list[int]:
    """How many gates may be fused in the last axis of an array: 4 where some weight is (H, 4H) and it ends in 4H."""
    shape = shapes[leaf]
    counts: set[int] = set()
    for rows, columns in (other for other in shapes.values() if len(other) == 2 and 0 not in other):
        if shape and shape[-1] == columns and columns % rows == 0:
            counts.add(columns // rows)
    return [count for count in USUAL if count in counts]


def gate_names(functions: list[FunctionType], blocks: int) -> list[str]:
    """What the blocks of a fused product are called in the source of the forward function; empty if that is not
    found.
    """
    for function in functions:
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        except (OSError, SyntaxError):  # typed at a prompt, or a lambda inside of a longer line
            continue
        names = _from_split(tree, blocks) or _from_slices(tree, blocks)
        if names:
            return names
    return []


def _from_split(tree: ast.AST, blocks: int) -> list[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Tuple):
            called = node.value.func
            word = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            names = [part.id for part in node.targets[0].elts if isinstance(part, ast.Name)]
            if word in ("split", "array_split", "hsplit") and len(names) == blocks:
                return names
    return []


def _from_slices(tree: ast.AST, blocks: int) -> list[str]:
    """Names assigned from something that slices the last axis, in the order of where the slices begin."""
    begins: dict[str, float] = {}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
            continue
        slices = [part for inner in ast.walk(node.value) if isinstance(inner, ast.Subscript) for part in _last(inner)]
        if len(slices) == 1 and (slices[0].lower is not None or slices[0].upper is not None):
            begin = _multiple(slices[0].lower)
            if begin is not None:
                begins[node.targets[0].id] = begin
    if sorted(begins.values()) != list(range(blocks)):
        return []
    return sorted(begins, key=lambda name: begins[name])


def _last(subscript: ast.Subscript) -> list[ast.Slice]:
    index = subscript.slice.elts[-1] if isinstance(subscript.slice, ast.Tuple) else subscript.slice
    return [index] if isinstance(index, ast.Slice) else []


def _multiple(bound: ast.expr | None) -> float | None:
    """2 for `2*H` or `H*2`, 1 for `H`, 0 for nothing; None for anything else."""
    match bound:
        case None | ast.Constant(value=0):
            return 0
        case ast.Name() | ast.Attribute():
            return 1
        case (
            ast.BinOp(op=ast.Mult(), left=ast.Constant(value=int(n)))
            | ast.BinOp(op=ast.Mult(), right=ast.Constant(value=int(n)))
        ):
            return n
    return None


#: so many gradients are listed by name
FEW = 6

StatedArrays = Mapping[LeafName, np.ndarray]


class Explanation:
    """The rows with what is wrong in each that failed, and notes on the whole."""

    def __init__(
        self,
        rows: list[Row],
        comparisons: Mapping[LeafName, GradientComparison],
        stated: StatedArrays,
        truth: Truth,
        subject: Subject,
        eps: float,
    ) -> None:
        self.rows = rows
        self.notes: list[str] = []
        self.search: MistakeSearch | None = None
        self.comparisons, self.stated, self.truth, self.subject, self.eps = comparisons, stated, truth, subject, eps
        if not any(row.verdict == FAIL for row in rows):
            return
        limit = clipped(stated, comparisons, truth, eps)
        if limit is not None:
            self._clip(limit)
            return
        self._explain()

    def _clip(self, limit: Clipped) -> None:
        """Clipped gradients are what was meant, as far as anything is left of them."""
        self.notes.append(str(limit))
        rows = []
        for row in self.rows:
            arrays = [self.stated[leaf] for leaf in self.stated if leaf[0] == row.quantity]
            cut = sum(int(np.sum(np.abs(a) == limit.limit)) for a in arrays)
            much = not limit.by_norm and 2 * cut > sum(a.size for a in arrays)
            why = "most of it is at the limit of the clipping: judge it before it is clipped" if much else ""
            steps = [replace(s, verdict=INCONCLUSIVE if much else PASS, error=0.0, why=why) for s in row.steps]
            verdict = row.verdict if row.verdict == INCONCLUSIVE else steps[0].verdict
            rows.append(replace(row, steps=steps, verdict=verdict))
        self.rows = rows

    def _explain(self) -> None:
        side = self._kink()
        if side:
            self._on_a_kink(side)
            return
        by_itself: set[str] = set()
        if self.truth.loss is not None:
            search = self.search
            assert search is not None
            by_itself = {name for name, _ in search.wrong_by_themselves()} if search.inner else set()
            sentence = self._confirmed(search)
            if sentence:
                self._one_mistake(sentence, by_itself)
                return
        self.rows = [self._alone(row, by_itself) if row.verdict == FAIL else row for row in self.rows]
        if not all(row.explanation for row in self.rows if row.verdict == FAIL):
            self.notes.append(self._what_to_name())

    def _confirmed(self, search: MistakeSearch) -> str:
        """The first mistake that explains everything here and at other inputs, which lie beyond kinks if there are any
        that these see from one side.
        """
        others: list[MistakeSearch | None] = []
        shares = (SHARE, *FARTHER) if one_sided(kinks(self.truth.loss)) else (SHARE,)
        visits = FEW_VISITS if self._one_relation() else MOST_VISITS
        for sentence in search.mistakes(visits):
            others = others or [elsewhere(self.subject, self.stated, self.eps, share) for share in shares]
            if all(other is None or other.confirms(sentence) for other in others):
                return sentence
        return ""

    def _one_relation(self) -> bool:
        """Whether all that is wrong is so by the same relation, such as a factor."""
        failed = [leaf for leaf, comparison in self.comparisons.items() if comparison.verdict == FAIL]
        relations = {related(p, self.stated[p], self.truth, self.eps, self._lengths()) for p in failed}
        return len(relations) == 1 and "" not in relations

    def _kink(self) -> str:
        """How the inputs stand on a kink of the forward function, so that nothing is wrong for certain."""
        if self.truth.loss is not None:
            self.search = MistakeSearch(self.truth, self.stated, self.subject.vocabulary, self.eps)
            return self.search.side_of_a_kink()
        failed = [leaf for leaf, comparison in self.comparisons.items() if comparison.verdict == FAIL]
        bent = all(on_a_kink(self.subject, leaf) for leaf in failed)
        return "a kink of the forward function, where differences mean neither side" if bent else ""

    def _on_a_kink(self, side: str) -> None:
        why = f"your inputs stand exactly on {side}: other inputs would tell"
        self.rows = [row.undecided(why, FAIL) if row.verdict == FAIL else row for row in self.rows]

    def _one_mistake(self, sentence: str, by_itself: set[str]) -> None:
        """Tell the mistake at the line that is wrong by itself, or at the first of all that it explains."""
        failed = [row.name for row in self.rows if row.verdict == FAIL]
        culprits = [row.name for row in self.rows if row.verdict == FAIL and row.quantity in by_itself] or failed
        rows = []
        for row in self.rows:
            if row.verdict == FAIL and row.name == culprits[0]:
                many = ", ".join(failed) if len(failed) <= FEW else f"all {len(failed)} wrong gradients"
                others = f" (this alone explains {many})" if len(failed) > 1 else ""
                row = replace(row, mistake="one mistake", explanation=sentence + others)
            elif row.verdict == FAIL:
                row = replace(row, explanation=f"follows from the mistake told at {culprits[0]}")
            rows.append(row)
        self.rows = rows

    def _alone(self, row: Row, by_itself: set[str]) -> Row:
        """A row of which no single mistake is known."""
        if by_itself and row.quantity not in by_itself:
            return replace(row, explanation="follows from the others: this line itself is right")
        said = self._said(row)
        if by_itself:
            return replace(
                row, mistake="wrong line", explanation=f"this line is wrong by itself{f': {said}' if said else ''}"
            )
        return replace(row, explanation=said)

    def _said(self, row: Row) -> str:
        """What is said of one array by its numbers."""
        name = row.quantity
        sentences = []
        for leaf, comparison in self.comparisons.items():
            if leaf[0] == name and comparison.verdict == FAIL:
                relation = related(leaf, self.stated[leaf], self.truth, self.eps, self._lengths())
                other = self.search.same_as(leaf) if self.search is not None and not relation else ""
                sentences.append(relation or other or self._located(leaf, comparison))
        return "; ".join(dict.fromkeys(s for s in sentences if s))

    def _located(self, leaf: LeafName, comparison: GradientComparison) -> str:
        shapes = {p: array.shape for p, array in self.subject.leaves.items()}
        blocks, gates = fused(leaf, shapes, self.subject.functions) if leaf in shapes else (1, [])
        return located(comparison.wrong, blocks, gates)

    def _lengths(self) -> dict[int, str]:
        """What the lengths of axes are called: `the length of axis 0 of x`."""
        lengths: dict[int, str] = {}
        for (name, step), array in self.subject.leaves.items():
            if step is not None:
                lengths.setdefault(sum(other == name for other, _ in self.subject.leaves), f"the length of {name}")
            for axis, length in enumerate(array.shape):
                lengths.setdefault(length, f"the length of axis {axis} of {name}")
        return lengths

    def _what_to_name(self) -> str:
        if self.subject.kinds:
            return (
                f"the mistake can be located no closer, because {self.subject.kinds[0]} computes forward, unseen: the "
                "same formulas with numpy (np.tanh, @) are recorded, and there it will be named"
            )
        if self.truth.loss is None:
            return (
                "the mistake can be located no closer, because forward could not be recorded: collect the states in a "
                "list (and np.stack it) instead of writing them into an array, and it will be named"
            )
        return (
            "no single mistake that is known explains this: name the states in forward, h = tg.name('h', h) inside of "
            "`for t in tg.steps(T)`, and let backward return their gradients by step too ({'h': {t: dh}}); then the "
            "line with the mistake is told"
        )
