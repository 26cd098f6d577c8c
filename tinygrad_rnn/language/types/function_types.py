"""What each function of the language takes and gives, as types: the shape rules of the table in `functions`.

A rule gets the types known so far, the call and the types of its arguments, joins what has to be equal and returns the
type of the result; it raises the `LanguageError` that `shape_errors` builds where an argument cannot fit.
"""

from __future__ import annotations

from collections.abc import Callable

from ..expressions import Call, Expr, Number, Ref
from .dimensions import Dimension, Type
from .shape_errors import Misfits
from .type_table import TypeTable


def _want_vector(table: TypeTable, node: Call, place: int, type_: Type) -> None:
    """Join an argument with the vectors."""
    if not table.across(type_).join(Dimension(1)):
        vector = table.convention.vectors[:-1]
        raise Misfits(table).wants(node.args[place], f"a {vector}, to which {node.function} applies")


def _classes_of(table: TypeTable, node: Call) -> Type | None:
    label = node.args[-1]
    if isinstance(label, Ref) and label.key in table.quantities.classes:
        return table.quantity(label.key)
    return None


def _same(table: TypeTable, node: Call, types: list[Type]) -> Type:
    return types[0]


def _vector(table: TypeTable, node: Call, types: list[Type]) -> Type:
    _want_vectors(table, node, types[0])
    return types[0]


def _want_vectors(table: TypeTable, node: Call, type_: Type) -> None:
    """As `_want_vector`, where a function treats each column of a batch by itself."""
    if not table.convention.samples:
        _want_vector(table, node, 0, type_)


def _diagonal(table: TypeTable, node: Call, types: list[Type]) -> Type:
    _want_vector(table, node, 0, types[0])
    return Type(table.along(types[0]), table.along(types[0]))


def _vector_entries(table: TypeTable, node: Call, types: list[Type]) -> Type:
    _want_vectors(table, node, types[0])
    return Type(1, types[0].columns) if table.convention.samples else Type(1, 1)


def _entries(table: TypeTable, node: Call, types: list[Type]) -> Type:
    return Type(1, 1)


def _onehot(table: TypeTable, node: Call, types: list[Type]) -> Type:
    classes = _classes_of(table, node)
    if classes is None:
        raise table.source.error(
            "onehot applies to a class number",
            node.args[0].span,
            hint="expected an input that no equation defines, as in onehot(y[t])",
        )
    return Type(classes.rows, table.samples) if table.convention.samples else table.vector(table.along(classes))


def _against(table: TypeTable, node: Call, types: list[Type]) -> Type:
    if isinstance(node.args[0], Ref):
        table.refuse_class(node.args[0])
    _want_vectors(table, node, types[0])
    classes = _classes_of(table, node)
    if classes is not None:
        table.across(classes).join(Dimension(1))
        if not table.along(classes).join(table.along(types[0])):
            wanted = f"one entry for each of the {table.along(classes)} classes of {node.args[1]}"
            raise Misfits(table).wants(node.args[0], f"a {table.convention.vectors[:-1]} with {wanted}")
    elif not types[1].join(types[0]):
        raise Misfits(table).wants(node.args[1], f"{types[0]}, as the first argument of {node.function} is")
    return Type(1, 1)


def _equal(table: TypeTable, node: Call, types: list[Type]) -> Type:
    if not types[1].join(types[0]):
        raise Misfits(table).wants(node.args[1], f"{types[0]}, as the first argument of {node.function} is")
    return Type(1, 1)


def _transpose(table: TypeTable, node: Call, types: list[Type]) -> Type:
    return types[0].transposed


def _square(table: TypeTable, node: Call, types: list[Type]) -> Type:
    if not types[0].rows.join(types[0].columns):
        raise Misfits(table).wants(node.args[0], f"a square matrix, to which {node.function} applies")
    return types[0]


def _solve(table: TypeTable, node: Call, types: list[Type]) -> Type:
    _square(table, node, types)
    if not types[0].columns.join(types[1].rows):
        raise Misfits(table).wants(node.args[1], f"{types[0].rows} rows, as the matrix has")
    return types[1]


def _row_sums(table: TypeTable, node: Call, types: list[Type]) -> Type:
    return Type(types[0].rows, 1)


def _column_sums(table: TypeTable, node: Call, types: list[Type]) -> Type:
    return Type(1, types[0].columns)


def _columns(table: TypeTable, node: Call, types: list[Type]) -> Type:
    first, last = _bounds(table, node)
    have = types[0].shape
    if have is not None and last > have[1]:
        raise Misfits(table).wants(node.args[2], f"a column of {have[1]} at most")
    return Type(types[0].rows, last - first + 1)


def _bounds(table: TypeTable, node: Call) -> tuple[int, int]:
    """The two whole numbers of `rows(v, 1, 4)`."""
    first, last = (_whole(arg) for arg in node.args[1:])
    if first is None or last is None or not 1 <= first <= last:
        wanted = f"the first and the last {node.function[:-1]}, as in {node.function}(v, 1, 4)"
        raise Misfits(table).wants(node.args[1], f"two whole numbers, {wanted}")
    return first, last


def _rows(table: TypeTable, node: Call, types: list[Type]) -> Type:
    first, last = _bounds(table, node)
    have = types[0].shape
    entries = table.convention.rows and not (have and have[0] > 1)  # of a row
    if have is not None and last > have[entries]:
        raise Misfits(table).wants(node.args[2], f"a row of {have[entries]} at most")
    result = Type(types[0].rows, last - first + 1) if entries else Type(last - first + 1, types[0].columns)
    table.literal += [types[0].columns, result.columns] if entries else [types[0].rows, result.rows]
    return result


def _outer(table: TypeTable, node: Call, types: list[Type]) -> Type:
    _want_vector(table, node, 0, types[0])
    _want_vector(table, node, 1, types[1])
    return Type(table.along(types[0]), table.along(types[1]))


def _dot(table: TypeTable, node: Call, types: list[Type]) -> Type:
    _want_vector(table, node, 0, types[0])
    return _equal(table, node, types)


RULES: dict[str, Callable[[TypeTable, Call, list[Type]], Type]] = {
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
