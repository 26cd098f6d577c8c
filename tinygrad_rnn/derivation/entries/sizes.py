"""Numbers of entries as symbols: one length for each class of dimensions that the equations force to be equal.

The rows of a stack are the sum of the rows of its parts. `rows(v, 2, 6)` counts rows, so what it reads has as many as
declared: the sizes that a proof takes as numbers are listed in `fixed`. A size of 1 is no index at all.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...language import Model
from ...language.affine import Affine, affine
from ...language.expressions import Call, Concat, Expr, walk
from ...language.types.dimensions import Dimension, Type
from ...language.types.quantities import Key


class Sizes:
    """Rows and columns of expressions and quantities as affine forms; None for a size of 1."""

    def __init__(self, model: Model) -> None:
        self.model, self.shapes = model, model.shapes_
        #: whether vectors are rows
        self.rows = self.shapes.convention.rows
        self._forms: dict[int, Affine] = {}
        self._names: dict[int, str] = {}
        self._roots: list[Dimension] = []  # kept alive, so that an id stays its own
        self.fixed: dict[str, int] = {}
        for key in (*model.quantities.used, *model.quantities.helpers):
            type_ = self.shapes.quantity(key)
            self._names.setdefault(self._id(type_.rows), key[0])
            self._names.setdefault(self._id(type_.columns), f"{key[0]}'")
        self._relate()

    def of(self, expr: Expr) -> tuple[Affine | None, Affine | None]:
        """Rows and columns of an expression of the file."""
        return self._both(self.shapes.type_of(expr))

    def quantity(self, key: Key) -> tuple[Affine | None, Affine | None]:
        """Rows and columns of a quantity."""
        return self._both(self.shapes.quantity(key))

    def _both(self, type_: Type) -> tuple[Affine | None, Affine | None]:
        return self._form(type_.rows), self._form(type_.columns)

    def _form(self, dimension: Dimension) -> Affine | None:
        if dimension.size in (1, None):
            return None
        key = self._id(dimension)
        if key not in self._forms:
            self._forms[key] = affine(f"N'{self._names.get(key, len(self._forms))}")
        return self._forms[key]

    def _id(self, dimension: Dimension) -> int:
        root = dimension.root()
        self._roots.append(root)
        return id(root)

    def _fix(self, dimension: Dimension) -> None:
        """Take a size as the number it is."""
        key = self._id(dimension)
        if dimension.size is not None and dimension.size > 1:
            self._forms[key] = affine(None, dimension.size)
            if key in self._names:
                self.fixed[self._names[key].rstrip("'")] = dimension.size

    def _relate(self) -> None:
        stacks: list[tuple[Dimension, list[Dimension]]] = []
        for node in self._nodes():
            own = self.shapes.type_of(node)
            types = [self.shapes.type_of(child) for child in node.children]
            if isinstance(node, Call) and node.function in ("rows", "columns"):
                across = node.function == "columns" or (self.rows and types[0].rows.size == 1)
                for type_ in (own, types[0]):
                    self._fix(type_.columns if across else type_.rows)
            elif isinstance(node, Concat) or (isinstance(node, Call) and node.function == "concat"):
                stacks.append((self.shapes.along(own), [self.shapes.along(part) for part in types]))
        again = True
        while again:
            changed = [self._stacked(total, parts) for total, parts in stacks]
            again = any(changed)
        for total, parts in stacks:
            forms = [self._form(part) or affine(None, 1) for part in parts]
            whole = sum(forms[1:], forms[0])
            if self._id(total) not in self._forms:
                self._forms[self._id(total)] = whole
            elif self._forms[self._id(total)] != whole:
                for dimension in (total, *parts):
                    self._fix(dimension)
        if any((self._form(t) != sum(((self._form(p) or affine(None, 1)) for p in ps), affine())) for t, ps in stacks):
            for total, parts in stacks:
                for dimension in (total, *parts):
                    self._fix(dimension)

    def _stacked(self, total: Dimension, parts: list[Dimension]) -> bool:
        """Numbers for what a stack of known parts, or a known stack, leaves no choice; whether there were new ones."""
        sizes = [total, *parts]
        known = [d for d in sizes if d.size == 1 or self._known(d)]
        unknown = [d for d in sizes if d not in known]
        forced = len(unknown) == 1 or (bool(unknown) and self._known(total))
        if forced or (unknown and any(self._id(total) == self._id(part) for part in parts)):
            for dimension in unknown:
                self._fix(dimension)
            return True
        return False

    def _known(self, dimension: Dimension) -> bool:
        form = self._forms.get(self._id(dimension))
        return form is not None and not form.terms

    def _nodes(self) -> Iterator[Expr]:
        for equation in (*self.model.forward, *self.model.gradients):
            yield from walk(equation.rhs)
