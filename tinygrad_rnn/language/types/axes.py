"""What the indices of each quantity run over: h[s] along one sequence, o[t] along another, alpha[t, s] over both.

Read off the equations: the variable of the target says it; an input takes it from where it is read; a length stands for
the index it ends. Raises `LanguageError` where two uses disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..affine import Affine
from ..expressions import Document, Equation, Expr, Ref, Sum
from ..syntax.indices import Range


def axes_of(document: Document) -> dict[str, tuple[str, ...]]:
    """The index variables of every indexed name, in order."""
    main = next(iter(document.indices))
    found: dict[str, list[str | None]] = {}
    first: dict[str, Ref] = {}
    equations = (*document.forward, *document.gradients)
    uses = [(equation.target, dict(equation.ranges)) for equation in equations if equation.target.index]
    uses += [use for equation in equations for use in _reads(equation)]
    for ref, ranges in uses:
        base = ref.name[1:] if ref.name.startswith("d") and ref.name[1:] in found else ref.name
        seen = found.setdefault(base, [None] * len(ref.indices))
        first.setdefault(base, ref)
        if len(seen) != len(ref.indices):
            raise _miscounted(document, ref, first[base])
        for place, index in enumerate(ref.indices):
            axis, known = _axis(index, ranges, document.indices), seen[place]
            if axis is not None and known is not None and document.indices[axis] != document.indices[known]:
                raise document.source.error(
                    f"{ref.name} runs over {known} (line {first[base].span.line}), not over {axis}",
                    ref.span,
                    hint=f"{known} = {document.indices[known]}, {axis} = {document.indices[axis]}",
                )
            seen[place] = known or axis
    return {name: tuple(axis or main for axis in axes) for name, axes in found.items()}


def _reads(equation: Equation) -> Iterator[tuple[Ref, dict[str, Range]]]:
    """The indexed quantities a right-hand side reads, each with what the variables around it run over."""
    stack: list[tuple[Expr, dict[str, Range]]] = [(equation.rhs, dict(equation.ranges))]
    while stack:
        node, ranges = stack.pop()
        if isinstance(node, Ref) and node.index is not None:
            yield node, ranges
        inner = {**ranges, node.variable: node.over.within} if isinstance(node, Sum) else ranges
        stack += [(child, inner) for child in reversed(node.children)]


def _axis(index: Affine, ranges: Mapping[str, Range], declared: Mapping[str, Range]) -> str | None:
    """The declared index that runs where this one does; None for a constant."""
    if index.variable is None:
        return None
    if index.fixed:
        return next((name for name, within in declared.items() if within.last.variable == index.variable), None)
    within = ranges.get(index.variable, next(iter(declared.values())))
    if index.variable in declared and declared[index.variable] == within:
        same = [name for name in declared if declared[name] == within]
        return same[0]
    return next((name for name in declared if declared[name] == within), None)


def _miscounted(document: Document, ref: Ref, first: Ref) -> Exception:
    how = ["no index", "one index", "two indices", "three indices"]
    here, there = (how[len(r.indices)] if len(r.indices) < 4 else f"{len(r.indices)} indices" for r in (ref, first))
    return document.source.error(
        f"{ref.name} has {here} here", ref.span, hint=f"it has {there} on line {first.span.line}: {first}"
    )
