"""Rows and columns of a formula, worked out from those of its names."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.soak.forms import Form
from benchmarks.soak.reading import Unread

Shape = tuple[int, int]
NUMBER: Shape = (1, 1)
_NUMBERS = ("sum", "mean", "norm", "cross_entropy", "squared_error", "dot", "logsumexp")


def shape_of(form: Form, shapes: Mapping[str, Shape]) -> Shape:
    """Rows and columns; a gradient has those of its quantity. Raises `Unread` for what does not fit."""
    match form.op:
        case "num" | "time":
            return NUMBER
        case "ref":
            name = form.data[0]
            if name in shapes:
                return shapes[name]
            if name.startswith("d") and name[1:] in shapes:
                return shapes[name[1:]]
            raise Unread(f"no shape for {name}")
        case "call" if form.data == "rows":
            columns = shape_of(form.args[0], shapes)[1]
            return form.args[2].data - form.args[1].data + 1, columns
    args = [shape_of(arg, shapes) for arg in form.args]
    match form.op:
        case "@":
            if args[0][1] != args[1][0]:
                raise Unread(f"{form} does not fit")
            return args[0][0], args[1][1]
        case ".T":
            return args[0][1], args[0][0]
        case "stack":
            if len({columns for _, columns in args}) > 1:
                raise Unread(f"{form} does not fit")
            return sum(rows for rows, _ in args), args[0][1]
        case "call":
            if form.data in _NUMBERS:
                return NUMBER
            if form.data == "diag":
                return args[0][0], args[0][0]
            if form.data == "outer":
                return args[0][0], args[1][0]
            if form.data == "transpose":
                return args[0][1], args[0][0]
    wide = {shape for shape in args if shape != NUMBER}
    if len(wide) > 1 and form.op != "**":
        raise Unread(f"{form} does not fit")
    return args[0] if form.op == "**" else next(iter(wide), NUMBER)
