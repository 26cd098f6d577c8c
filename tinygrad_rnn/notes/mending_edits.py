"""The usual slips of a hand, undone one at a time: candidates for the right form of a formula, as LaTeX.

Each edit changes the text of one name, sign or factor, so that what is told is the author's own formula with one
thing changed. Whether a candidate is right is for the judge to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from .notation import Added, BigOperator, Differentiation, Letters, Multiplied, Notation, Numeral
from .resolving import parts_of


@dataclass(frozen=True)
class MendingEdit:
    """A candidate: the whole side as LaTeX, what was changed and into what."""

    latex: str
    before: str
    after: str


def mending_edits(side: Notation, text: str, time: str, names: Mapping[str, str]) -> Iterator[MendingEdit]:
    """Candidates for a side that stands in a text: times shifted, transposes, signs, factors and names changed.

    `names` are those of the document as they are written, with the letter of each.
    """
    start, end = side.extent.start, side.extent.end

    def edit(first: int, last: int, new: str) -> MendingEdit:
        return MendingEdit(text[start:first] + new + text[last:end], text[first:last].strip(), new.strip())

    yield from _in_front(side, text, time, edit)
    for node in parts_of(side):
        if not start <= node.extent.start <= node.extent.end <= end:
            continue
        if isinstance(node, Letters):
            yield from _of_name(node, text, time, names, edit)
        elif isinstance(node, Added):
            for previous, term in zip(node.terms, node.terms[1:], strict=False):
                yield edit(previous.extent.end, term.extent.end, "")
            for before, after in zip(node.terms, node.terms[1:], strict=False):
                between = text[before.extent.end : after.extent.start]
                for old, new in (("+", "-"), ("-", "+")):
                    if between.strip() == old:
                        yield edit(before.extent.end, after.extent.start, between.replace(old, new))
        elif isinstance(node, Multiplied) and len(node.factors) > 1:
            for number, factor in enumerate(node.factors):
                following = node.factors[number + 1] if number + 1 < len(node.factors) else None
                if following is not None:
                    yield edit(factor.extent.start, following.extent.start, "")
                else:
                    yield edit(node.factors[number - 1].extent.end, factor.extent.end, "")
    for node in parts_of(side):
        if not start <= node.extent.start <= node.extent.end <= end:
            continue
        is_name = isinstance(node, Letters) and (node.name == "delta" or (node.run and node.name[0] == "d"))
        if isinstance(node, Differentiation) or is_name:
            shown = text[node.extent.start : node.extent.end]
            step = next((s for s in (f"{time}+1", f"{time}-1") if s in shown.replace(" ", "")), time)
            for slope in _slopes(time, step, names):
                yield edit(node.extent.start, node.extent.end, f"({shown} \\odot {slope})")


def _in_front(
    side: Notation, text: str, time: str, edit: Callable[[int, int, str], MendingEdit]
) -> Iterator[MendingEdit]:
    """Another sign, and the sum over all steps, in front of the whole side."""
    start = side.extent.start
    if text[start] == "-":
        yield edit(start, start + 1, "")
    elif isinstance(side, Added):
        yield MendingEdit(f"-\\left({text[start : side.extent.end]}\\right)", "the sign", "-")
    else:
        yield edit(start, start, "-")
    if not isinstance(side, BigOperator):
        yield edit(start, start, f"\\sum_{{{time}=1}}^T ")


def _slopes(time: str, step: str, names: Mapping[str, str]) -> Iterator[str]:
    """Slopes of the usual functions at what has this step: forgotten more often than anything else."""
    scripts = [f"{sign}{time}" for sign in "_^"] + [f"{sign}{{{time}}}" for sign in "_^"]
    written = [(name, script) for name in names for script in scripts if name.endswith(script)]
    for name in [name.replace(script, f"{script[0]}{{{step}}}") if step != time else name for name, script in written][
        :12
    ]:
        yield f"(1 - {name}^2)" if "^" not in name else f"(1 - ({name})^2)"
        yield f"{name} \\odot (1 - {name})"


def _of_name(
    node: Letters, text: str, time: str, names: Mapping[str, str], edit: Callable[[int, int, str], MendingEdit]
) -> Iterator[MendingEdit]:
    shown = text[node.extent.start : node.extent.end]
    for script in (*node.lower, *node.upper):
        written = text[script.extent.start : script.extent.end]
        bare = written.strip("()<> ")
        if bare.replace(" ", "") in (time, f"{time}-1", f"{time}+1"):
            for other in (f"{time}-1", time, f"{time}+1"):
                if other != bare.replace(" ", ""):
                    place = text.index(bare, script.extent.start)
                    new = other if text[place - 1 : place] in ("{", "(", "<", " ") else "{" + other + "}"
                    yield edit(place, place + len(bare), new)
    transposes = [u for u in node.upper if isinstance(u, Letters) and u.name in ("T", "top")]
    if transposes and shown.count("^") == 1:
        head = shown[: shown.index("^")]
        yield edit(node.extent.start, node.extent.end, head)
    elif not node.upper and node.name[:1].isupper() and len(node.name) == 1:
        yield edit(node.extent.start, node.extent.end, shown + "^T")
    squares = [u for u in node.upper if isinstance(u, Numeral)]
    if not squares and not node.upper and node.lower:
        yield edit(node.extent.start, node.extent.end, shown + "^2")
    # names of the same letter first: an accent, a label or a step is what is mistaken most often
    alike = sorted(names, key=lambda name: names[name] != node.name) if node.lower or node.upper else []
    for name in alike[:40]:
        if name != shown:
            yield edit(node.extent.start, node.extent.end, name)
