"""What each function of the language takes and gives, as types: the shape rules of the table in `functions`.

A rule gets the shapes known so far, the call and the types of its arguments, joins what has to be equal and returns the
type of the result; it raises the `LanguageError` that `misfits` builds where an argument cannot fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..expressions import Call, Expr, Number, Ref
from .dimensions import Dimension, Type

if TYPE_CHECKING:
    from .shapes import Shapes


def _want_vector(shapes: Shapes, node: Call, place: int, type_: Type) -> None:
    """Join an argument with the vectors."""
    if not shapes.across(type_).join(Dimension(1)):
        vector = shapes.convention.vectors[:-1]
        raise shapes.misfits.wants(node.args[place], f"a {vector}, to which {node.function} applies")


def _classes_of(shapes: Shapes, node: Call) -> Type | None:
    label = node.args[-1]
    if isinstance(label, Ref) and label.key in shapes.quantities.classes:
        return shapes.quantity(label.key)
    return None


def _same(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    return types[0]


def _vector(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    _want_vectors(shapes, node, types[0])
    return types[0]


def _want_vectors(shapes: Shapes, node: Call, type_: Type) -> None:
    """As `_want_vector`, where a function treats each column of a batch by itself."""
    if not shapes.convention.samples:
        _want_vector(shapes, node, 0, type_)


def _diagonal(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    _want_vector(shapes, node, 0, types[0])
    return Type(shapes.along(types[0]), shapes.along(types[0]))


def _vector_entries(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    _want_vectors(shapes, node, types[0])
    return Type(1, types[0].columns) if shapes.convention.samples else Type(1, 1)


def _entries(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    return Type(1, 1)


def _onehot(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    classes = _classes_of(shapes, node)
    if classes is None:
        raise shapes.source.error(
            "onehot applies to a class number",
            node.args[0].span,
            hint="expected an input that no equation defines, as in onehot(y[t])",
        )
    return Type(classes.rows, shapes.samples) if shapes.convention.samples else shapes.vector(shapes.along(classes))


def _against(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    if isinstance(node.args[0], Ref):
        shapes.refuse_class(node.args[0])
    _want_vectors(shapes, node, types[0])
    classes = _classes_of(shapes, node)
    if classes is not None:
        shapes.across(classes).join(Dimension(1))
        if not shapes.along(classes).join(shapes.along(types[0])):
            wanted = f"one entry for each of the {shapes.along(classes)} classes of {node.args[1]}"
            raise shapes.misfits.wants(node.args[0], f"a {shapes.convention.vectors[:-1]} with {wanted}")
    elif not types[1].join(types[0]):
        raise shapes.misfits.wants(node.args[1], f"{types[0]}, as the first argument of {node.function} is")
    return Type(1, 1)


def _equal(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    if not types[1].join(types[0]):
        raise shapes.misfits.wants(node.args[1], f"{types[0]}, as the first argument of {node.function} is")
    return Type(1, 1)


def _transpose(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    return types[0].transposed


def _square(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    if not types[0].rows.join(types[0].columns):
        raise shapes.misfits.wants(node.args[0], f"a square matrix, to which {node.function} applies")
    return types[0]


def _solve(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    _square(shapes, node, types)
    if not types[0].columns.join(types[1].rows):
        raise shapes.misfits.wants(node.args[1], f"{types[0].rows} rows, as the matrix has")
    return types[1]


def _row_sums(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    return Type(types[0].rows, 1)


def _column_sums(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    return Type(1, types[0].columns)


def _columns(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    first, last = _bounds(shapes, node)
    have = shapes.probe(node.args[0])
    if have is not None and last > have[1]:
        raise shapes.misfits.wants(node.args[2], f"a column of {have[1]} at most")
    return Type(types[0].rows, last - first + 1)


def _bounds(shapes: Shapes, node: Call) -> tuple[int, int]:
    """The two whole numbers of `rows(v, 1, 4)`."""
    first, last = (_whole(arg) for arg in node.args[1:])
    if first is None or last is None or not 1 <= first <= last:
        wanted = f"the first and the last {node.function[:-1]}, as in {node.function}(v, 1, 4)"
        raise shapes.misfits.wants(node.args[1], f"two whole numbers, {wanted}")
    return first, last


def _rows(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    first, last = _bounds(shapes, node)
    have = shapes.probe(node.args[0])
    entries = shapes.convention.rows and not (have and have[0] > 1)  # of a row
    if have is not None and last > have[entries]:
        raise shapes.misfits.wants(node.args[2], f"a row of {have[entries]} at most")
    result = Type(types[0].rows, last - first + 1) if entries else Type(last - first + 1, types[0].columns)
    shapes.literal += [types[0].columns, result.columns] if entries else [types[0].rows, result.rows]
    return result


def _outer(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    _want_vector(shapes, node, 0, types[0])
    _want_vector(shapes, node, 1, types[1])
    return Type(shapes.along(types[0]), shapes.along(types[1]))


def _dot(shapes: Shapes, node: Call, types: list[Type]) -> Type:
    _want_vector(shapes, node, 0, types[0])
    return _equal(shapes, node, types)


RULES: dict[str, Callable[[Shapes, Call, list[Type]], Type]] = {
    "same": _same,
    "column": _vector,
    "diagonal": _diagonal,
    "entries": _entries,
    "entries of a column": _vector_entries,
    "classes": _onehot,
    "against": _against,
    "equal": _equal,
    "transpose": _transpose,
    "outer": _outer,
    "rows": _rows,
    "columns": _columns,
    "square": _square,
    "solve": _solve,
    "row sums": _row_sums,
    "column sums": _column_sums,
    "dot": _dot,
}


def _whole(expr: Expr) -> int | None:
    return int(expr.value) if isinstance(expr, Number) and float(expr.value).is_integer() else None
