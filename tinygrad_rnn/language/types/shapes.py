"""Typed shapes: every quantity is rows x columns, worked out from `sizes:` and from use before any value exists.

Vectors are columns, so n x 1, or rows where a file says so; scalars are 1 x 1. This module decides what fits; how a
misfit is explained and what might mend it stands in `shape_errors`.

This is the one inference of shapes from equations: sizes as symbols (`derivation.entries.sizes`) are its classes of
equal dimensions, and a form of a derivation is given its shape from here. The shapes of arrays are not
inferred: the compiler and `system.samples` read those of a recording.
"""

from __future__ import annotations

from ...core.errors import LanguageError
from ..expressions import Binary, Call, Concat, Equation, Expr, Number, Ref, Sum, Time, Transpose, Unary, walk
from ..functions import FUNCTIONS
from .conventions import Convention
from .dimensions import Broadcast, Dimension, SameShape, Stacked, Type
from .function_types import RULES
from .powers import check_divisor, is_number
from .quantities import Key, Quantities
from .shape_errors import Misfits
from .type_table import TypeTable

LARGEST = 10_000_000


class Shapes(TypeTable):
    """The shapes of all quantities (`names`) and of every expression (`of`). Raises `LanguageError` where they do not
    fit."""

    def __init__(self, quantities: Quantities, convention: Convention | None = None) -> None:
        super().__init__(quantities, convention or Convention())
        self._pending: list[tuple[SameShape | Stacked, Expr, Equation]] = []
        self._declare()
        for equation in self.document.forward:
            self._infer(equation)
        if quantities.loss:
            self._types[quantities.loss].join(Type(1, 1))
        self._settle(list(quantities.used))
        self._check_one_number()
        self._check_parameters()
        #: which sizes the forward equations make equal: gradient equations are claims, which force nothing
        self.classes = {key: (type_.rows.root(), type_.columns.root()) for key, type_ in self._types.items()}
        self.sums = [([part.rows.root() for part in rule.parts], rule.result.rows.root()) for rule in self.stacks]
        for equation in self.document.gradients:
            self._infer(equation)
        self._settle(list(quantities.helpers))
        self.names: dict[Key, tuple[int, int]] = {key: self._final(type_) for key, type_ in self._types.items()}
        self._check_loss()

    @property
    def misfits(self) -> Misfits:
        """Who explains what does not fit."""
        return Misfits(self)  # made when it is asked, so that the two do not hold each other

    def of(self, expr: Expr) -> tuple[int, int]:
        """Rows and columns of an expression of the document."""
        return self._final(self._nodes[id(expr)])

    def of_any(self, expr: Expr) -> tuple[int, int]:
        """As `of`, also for an expression made of the same names elsewhere; 1 x 1 where it has no type."""
        if id(expr) in self._nodes:
            return self.of(expr)
        known = set(self._nodes)
        try:
            return self.probe(expr) or (1, 1)
        finally:
            for added in self._nodes.keys() - known:  # it may not live on, and another may get its id
                del self._nodes[added]

    def probe(self, expr: Expr) -> tuple[int, int] | None:
        """The shape of an expression that has not been reached yet; None where it cannot be told."""
        for node in walk(expr):
            if id(node) not in self._nodes:
                try:
                    self._nodes[id(node)] = self._rule(node, self.document.forward[0])
                except LanguageError:
                    return None
        return self._nodes[id(expr)].shape

    def _varies(self, key: Key) -> bool:
        """Whether an input has a value for each sample."""
        labels, classes = self.quantities.labels, self.quantities.classes
        return key not in classes and (key[1] or key in labels or key[0] in self.document.inputs)

    def _is_shared(self, expr: Expr) -> bool:
        """Whether it is made of parameters and numbers alone, so that no sample has a value of its own."""
        keys = [self.quantities.base(node.key) or node.key for node in walk(expr) if isinstance(node, Ref)]
        leaves = self.quantities.leaves
        return all(key in leaves and not self._varies(key) and key not in self.quantities.classes for key in keys)

    # -- before and after ---------------------------------------------------------------------------------------------
    def _declare(self) -> None:
        for key in (*self.quantities.used, *self.quantities.helpers):
            size = self.document.sizes.get(key[0])
            if size is None or (
                key[1] is False and (key[0], True) in self.quantities.used and key in self.quantities.defined
            ):
                first = self.quantities.used.get(key)
                self.origins[key] = f"from line {first.span.line}" if first else ""
                continue
            self._types[key] = Type(size.rows, size.columns) if size.columns else self.vector(size.rows)
            if self.convention.samples and not size.columns and key not in self.quantities.parameters:
                self._types[key] = Type(size.rows)  # a column for each sample, or one that all share: by inference
            self.origins[key] = f"from sizes, line {size.span.line}" if size.span else ""
        for key in self.quantities.inputs if self.convention.samples else ():
            size = self.document.sizes.get(key[0])
            if self._varies(key) and not (size and size.columns):
                self.across(self.quantity(key)).join(self.samples)

    def _settle(self, keys: list[Key]) -> None:
        self._solve()
        for key in keys:
            type_ = self.quantity(key)
            if key[1] and self.across(type_).size is None:
                self.across(type_).join(self.samples if self.convention.samples else Dimension(1))
        self._solve()
        for key in sorted(keys, key=lambda key: not key[1]):
            type_ = self.quantity(key)
            if self.along(type_).size is not None and self.across(type_).size is None:
                self.across(type_).join(Dimension(1))
                self._solve()
            if type_.shape is None:
                raise self._unknown_size(key)
            if type_.shape[0] * type_.shape[1] > LARGEST:
                where = self.quantities.used.get(key)
                span = where.span if where else self.source.span(0, 0)
                raise self.source.error(
                    f"{self.quantities.show(key)} would be {type_}",
                    span,
                    hint=f"at most {LARGEST:,} entries are allowed",
                )

    def _solve(self) -> None:
        for force in (False, True):
            progress = True
            while progress and self._pending:
                waiting = []
                for entry in self._pending:
                    decided = entry[0].decide(force)
                    if decided is False:
                        raise self.misfits.pair(entry[1], entry[2])
                    if decided is None:
                        waiting.append(entry)
                progress = len(waiting) < len(self._pending)
                self._pending = waiting

    def _unknown_size(self, key: Key) -> Exception:
        root = self.along(self._types[key]).root()
        same = [other for other in self._types if self.along(self._types[other]).root() is root]
        key = next((other for other in self.quantities.states if other in same), key)
        name = key[0]
        first = self.quantities.used.get(key) or next(e.target for e in self.quantities.helpers[key])
        what = "number of classes" if key in self.quantities.classes else "size"
        example = (
            f"{name} = 4" if key[1] else f"{name} = 4 (a {self.convention.vectors[:-1]}) or {name} = 4 x 3 (a matrix)"
        )
        return self.source.error(
            f"the {what} of {name} is not known", first.span, hint=f"add it to the header, as in   sizes: {example}"
        )

    def _final(self, type_: Type) -> tuple[int, int]:
        rows, columns = type_.rows.size, type_.columns.size
        return rows or 1, columns or 1

    def _check_loss(self) -> None:
        loss = self.quantities.loss
        if loss and self.names[loss] != (1, 1):
            equation = self.quantities.defined[loss][0]
            raise self.source.error(
                f"the loss {loss[0]} is {self.quantity(loss)}, not a number",
                equation.target.span,
                hint="expected a sum over entries and time",
            )

    # -- expressions --------------------------------------------------------------------------------------------------
    def _infer(self, equation: Equation) -> None:
        for node in walk(equation.rhs):
            self._nodes[id(node)] = self._rule(node, equation)
        target = self.quantity(equation.target.key)
        self._nodes[id(equation.target)] = target
        if isinstance(equation.rhs, Number) and equation.rhs.value == 0:
            self._nodes[id(equation.rhs)] = target
        elif not target.join(self._nodes[id(equation.rhs)]):
            raise self.misfits.target(equation)

    def _rule(self, node: Expr, equation: Equation) -> Type:
        types = [self._nodes[id(child)] for child in node.children]
        match node:
            case Number() | Time():
                return Type(1, 1)
            case Ref():
                return self._ref(node)
            case Unary() | Sum():
                return types[0]
            case Transpose():
                return types[0].transposed
            case Concat():
                return self._stack(node, types, equation)
            case Binary(op="@"):
                if not types[0].columns.join(types[1].rows):
                    raise self.misfits.product(node, equation)
                return Type(types[0].rows, types[1].columns)
            case Binary(op="**"):
                return self._power(node, types, equation)
            case Binary():
                check_divisor(node, self.source)
                return self._pair(node, types, equation)
            case Call():
                return self._call(node, types, equation)
        raise TypeError(f"no rule for {node!r}")  # pragma: no cover

    def _ref(self, node: Ref) -> Type:
        if node.key in self.quantities.classes:
            return Type()  # only onehot and cross_entropy know what to do with it; they check
        return self.quantity(node.key)

    def _power(self, node: Binary, types: list[Type], equation: Equation) -> Type:
        """A number as exponent leaves the type as it is; any other is a quantity, entry by entry."""
        base, exponent = node.left, node.right
        if isinstance(exponent, Time) and isinstance(base, Ref) and str(exponent.index) == "T":
            if not types[0].is_scalar:
                raise self.source.error(
                    f"this is the power T of {base}, not its transpose",
                    exponent.span,
                    hint=f"a transpose is written {base}.T or {base}ᵀ; a power of this kind ({base})**(T+0)",
                )
        elif not is_number(exponent):
            return self._pair(node, types, equation)
        return types[0]

    def _pair(self, node: Expr, types: list[Type], equation: Equation) -> Type:
        self._refuse_classes(node)
        rule = SameShape(types[0], types[1], Type())
        if self.convention.samples:
            shared = [self._is_shared(child) for child in node.children]
            rule = Broadcast(types[0], types[1], Type(), self.samples, (shared[0], shared[1]))
        decided = rule.decide()
        if decided is False:
            raise self.misfits.pair(node, equation)
        if decided is None:
            self._pending.append((rule, node, equation))
        return rule.result

    def _stack(self, node: Expr, types: list[Type], equation: Equation) -> Type:
        self._refuse_classes(node)
        for child, type_ in zip(node.children, types, strict=True):
            if not self.across(type_).join(self.across(types[0])):
                across = f"{self.across(types[0])} {'rows' if self.convention.rows else 'columns'}"
                raise self.misfits.wants(child, f"a part with {across}, as the first part has")
        turned = [type_.transposed for type_ in types] if self.convention.rows else types
        rule = Stacked(turned, Type(None, turned[0].columns))
        self.stacks.append(rule)
        decided = rule.decide()
        if decided is None:
            self._pending.append((rule, node, equation))
        return rule.result.transposed if self.convention.rows else rule.result

    def _refuse_classes(self, node: Expr) -> None:
        for child in node.children:
            if isinstance(child, Ref):
                self.refuse_class(child)

    def _call(self, node: Call, types: list[Type], equation: Equation) -> Type:
        rule = FUNCTIONS[node.function].rule
        if rule not in ("classes", "against"):
            self._refuse_classes(node)
        if rule == "stack":
            return self._stack(node, types, equation)
        if rule == "pair":
            return self._pair(node, types, equation)
        return RULES[rule](self, node, types)

    def _check_one_number(self) -> None:
        """A parameter beside `@` that comes out as one number, though no quantity near it was declared as one, was
        hardly meant so: the vectors are of the other kind."""
        for equation in self.document.forward:
            for node in walk(equation.rhs):
                if not (isinstance(node, Binary) and node.op == "@"):
                    continue
                refs = [part for part in walk(node) if isinstance(part, Ref)]
                if any(self._declared_as_number(ref) for ref in (*refs, equation.target)):
                    continue
                for side, other in ((node.left, node.right), (node.right, node.left)):
                    ref = side.operand if isinstance(side, Transpose) else side
                    lonely = isinstance(ref, Ref) and ref.key in self.quantities.parameters
                    if lonely and self.of(side) == (1, 1) and self.of(other) != (1, 1):
                        raise self.misfits.one_number(node, ref)

    def _check_parameters(self) -> None:
        """In a file of batches no parameter has a row or a column for each sample."""
        for key in self.quantities.parameters if self.convention.samples else ():
            type_ = self.quantity(key)
            if self.samples.root() in (type_.rows.root(), type_.columns.root()):
                told = f"{key[0]} would be {type_}, though there are {self.samples} samples"
                hint = "names are matrices with a column for each sample, as in W @ h[t-1] + b"
                raise self.source.error(told, self.quantities.used[key].span, hint=hint)

    def _declared_as_number(self, ref: Ref) -> bool:
        size = self.document.sizes.get(ref.name)
        return size is not None and size.rows * (size.columns or 1) == 1
