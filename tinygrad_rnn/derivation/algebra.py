"""The normal form that is printed: constructors of forms, each of which simplifies by named rules.

All simplification happens here, under the name of the rule that is applied, so that leaving rules out shows a
derivation on its way (`Derivation.steps`). A sum is multiplied out only if it contains a gradient: `(1 - h**2)` stays a
factor, and every term of a gradient ends up linear in exactly one `d…`. Arithmetic is exact: no coefficient is ever
rounded.

Proofs have a normal form of their own, by entries (`entries.arithmetic`), as two have to stay: a matrix product has no
canonical form among matrices, and what is canonical by entries is nothing to print.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction

from ..language.affine import Affine
from ..language.syntax.indices import Constraint
from ..system import EVERYWHERE, Domain
from .factoring import (
    cancel,
    collected,
    factor_order,
    inner_product,
    is_ones,
    is_power,
    merged,
    names_of_gradients,
    numbers_out,
    own_gradient,
    term_order,
    without_ones,
)
from .forms import (
    ONE,
    SCALAR,
    Apply,
    Chain,
    Combination,
    Factor,
    Flip,
    Form,
    Padded,
    Product,
    Rows,
    Shape,
    Step,
    Symbol,
    Term,
    Total,
    factors_of,
    is_zero,
    number,
    zero,
)

#: the rules in the order in which `steps` applies them, with what each says
RULES = {
    "unit": "multiply by one, drop zeros",
    "transpose": "the transpose of a product reverses it",
    "coefficients": "move signs and numbers to the front",
    "powers": "merge equal factors",
    "distribute": "multiply out what contains a gradient",
    "collect": "collect like terms",
    "factor": "take out common factors of one gradient",
}

#: a rewriting of a product's factors: what the file has a name for is called by it
Naming = Callable[["Algebra", list[Factor]], list[Factor]]


class Algebra:
    """The constructors, with a set of rules switched on (all of them unless told otherwise)."""

    def __init__(self, rules: Iterable[str] = RULES, naming: Naming | None = None) -> None:
        self.rules = frozenset(rules)
        self.naming = naming
        #: the quantities whose entries add up to one
        self.distributions: frozenset[str] = frozenset()
        #: the quantities that are the mean of the entries of something: their variables, and the mean
        self.means: Mapping[str, tuple[tuple[str, ...], Form]] = {}
        #: whether vectors are rows
        self.by_rows = False

    def upright(self, vector: Form) -> Form:
        """A vector as a column."""
        return self.flip(vector) if self.by_rows else vector

    # -- numbers ------------------------------------------------------------------------------------------------------
    def constant(self, value: Fraction | int) -> Form:
        """One number."""
        return self.scale(Fraction(value), ONE)

    def affine(self, index: Affine) -> Form:
        """An index as a number: T - t."""
        terms = [(Fraction(count), Step(SCALAR, name)) for name, count in index.terms]
        return self.combine([*terms, (Fraction(index.constant), ONE)])

    def ones(self, like: Form) -> Form:
        """Ones in the shape of a form."""
        return ONE if like.scalar else Apply(like.shape, "ones_like", (_shaped(like),))

    # -- sums ---------------------------------------------------------------------------------------------------------
    def add(self, *forms: Form) -> Form:
        """The sum of forms."""
        return self.combine([(Fraction(1), form) for form in forms])

    def scale(self, c: Fraction, form: Form) -> Form:
        """A number times a form."""
        return self.combine([(c, form)])

    def combine(self, terms: Iterable[Term], shape: Shape = SCALAR) -> Form:
        """A sum of multiples, flattened; like terms collected, zeros dropped, in a fixed order."""
        flat: list[Term] = []
        for c, form in terms:
            shape = broadcast([shape, form.shape])
            flat += [(c * k, part) for k, part in form.terms] if isinstance(form, Combination) else [(c, form)]
        if "unit" in self.rules:
            flat = [(c, form) for c, form in flat if c]
        if "collect" in self.rules:
            flat = collected(flat)
            flat = self._stacked(flat)
        if "factor" in self.rules and len(flat) > 1:
            flat = self._factored(flat)
        if len(flat) == 1 and flat[0][0] == 1 and flat[0][1].shape == shape:
            return flat[0][1]
        return Combination(shape, tuple(sorted(flat, key=term_order)))

    def filled(self, form: Combination) -> list[Term]:
        """The terms of a sum, each in its shape: a number among columns stands for a column."""
        return [(c, part if part.shape == form.shape else self.mul(part, self.ones(form))) for c, part in form.terms]

    # -- products entry by entry --------------------------------------------------------------------------------------
    def mul(self, *forms: Form) -> Form:
        """Product entry by entry."""
        return self.product([(form, Fraction(1)) for form in forms])

    def power(self, form: Form, n: Fraction | int) -> Form:
        """A power, entry by entry."""
        return self.product([(form, Fraction(n))])

    def product(self, factors: Iterable[Factor]) -> Form:
        """A product of powers; sums with a gradient multiplied out, equal factors merged, numbers in front."""
        flat: list[Factor] = []
        for form, n in factors:
            whole = isinstance(form, Product) and n.denominator == 1
            flat += [(f, k * n) for f, k in form.factors] if whole else [(form, n)]  # type: ignore[attr-defined]
        shape = broadcast([form.shape for form, _ in flat])
        if any(is_zero(form) and n > 0 for form, n in flat) and "unit" in self.rules:
            return zero(shape)
        if "distribute" in self.rules:
            for i, (form, n) in enumerate(flat):
                if isinstance(form, Combination) and n == 1 and (form.cotangents or self._cancels(form, flat)):
                    rest = flat[:i] + flat[i + 1 :]
                    return self.combine(
                        [(c, self.product([(part, Fraction(1)), *rest])) for c, part in form.terms], shape
                    )
        coefficient = Fraction(1)
        if "coefficients" in self.rules:
            coefficient, flat = numbers_out(flat)
        if "unit" in self.rules:
            flat = without_ones([(form, n) for form, n in flat if n], shape)
        if "powers" in self.rules:
            flat = self._powers_added(merged(flat))
            if self.naming is not None:
                flat = self.naming(self, flat)
        flat = self._into_padded(flat)
        repeated = self._repeated_column(flat, shape)
        if repeated is not None:
            return self.scale(coefficient, repeated)
        lone = len(flat) == 1 and flat[0][1] == 1 and flat[0][0].shape == shape
        form = flat[0][0] if lone else Product(shape, tuple(sorted(flat, key=factor_order)))
        return form if coefficient == 1 else self.combine([(coefficient, form)], shape)

    def _repeated_column(self, flat: list[Factor], shape: Shape) -> Form | None:
        """(v @ ones.T) * M is diag(v) @ M."""
        if "powers" not in self.rules or 1 in shape:
            return None
        for i, (form, n) in enumerate(flat):
            if n == 1 and isinstance(form, Chain) and len(form.factors) == 2 and is_ones(form.factors[1]):
                rest = flat[:i] + flat[i + 1 :]
                if any(f.shape == shape for f, _ in rest):
                    square = (form.shape[0], form.shape[0])
                    vector = self.upright(form.factors[0])  # a column again: turning twice changes nothing
                    return self.dot(self.apply("diag", vector, shape=square), self.product(rest))
        return None

    def _cancels(self, total: Combination, factors: list[Factor]) -> bool:
        """Whether a factor beside a sum is divided by inside it, so that multiplying out makes it shorter."""
        above = {f.key for f, n in factors if n > 0}
        return "powers" in self.rules and any(
            n < 0 and f.key in above for _, part in total.terms for f, n in factors_of(part)
        )

    def raised(self, base: Form, exponent: Form) -> Form:
        """A form to a power that may depend on a step; entry by entry."""
        n = number(exponent)
        return self.power(base, n) if n is not None else Apply(base.shape, "**", (base, exponent))

    # -- matrix products and transposes -------------------------------------------------------------------------------
    def dot(self, *forms: Form) -> Form:
        """Matrix product; a sum with a gradient multiplied out, numbers and scalars moved to the front."""
        flat: list[Form] = []
        for form in forms:
            flat += form.factors if isinstance(form, Chain) and not form.scalar else [form]
        shape = (flat[0].shape[0], flat[-1].shape[1])
        if len(flat) == 1:
            return flat[0]
        if any(map(is_zero, flat)) and "unit" in self.rules:
            return zero(shape)
        if "distribute" in self.rules:
            for i, form in enumerate(flat):
                if isinstance(form, Combination) and form.cotangents:
                    parts = [(c, self.dot(*flat[:i], part, *flat[i + 1 :])) for c, part in self.filled(form)]
                    return self.combine(parts, shape)
        if "coefficients" in self.rules:
            coefficient, scalars, rest = self._scalars_out(flat, shape)
            if coefficient != 1 or scalars:
                inner = self.dot(*rest) if rest else ONE
                return self.scale(coefficient, self.product([*scalars, (inner, Fraction(1))]))
        if len(flat) == 2 and shape == SCALAR:
            if any(map(is_ones, flat)):
                return self.entries(flat[0] if is_ones(flat[1]) else self.flip(flat[1]))
            before, behind = factors_of(self.flip(flat[0])), factors_of(flat[1])
            if "powers" in self.rules and cancel(before, behind):
                return self.entries(self.product([*before, *behind]))
        for i, form in enumerate(flat):
            if isinstance(form, Apply) and form.function == "diag":
                moved = self._diagonal_in(flat, i, form.args[0])
                if moved is not None:
                    return moved
        return Chain(shape, tuple(flat))

    def _scalars_out(self, flat: list[Form], shape: Shape) -> tuple[Fraction, list[Factor], list[Form]]:
        coefficient, scalars, rest = Fraction(1), list[Factor](), list[Form]()
        for form in flat:
            if isinstance(form, Combination) and len(form.terms) == 1:
                coefficient, form = coefficient * form.terms[0][0], form.terms[0][1]
            if form.scalar:
                scalars.append((form, Fraction(1)))
                continue
            if isinstance(form, Product):
                scalars += [(f, n) for f, n in form.factors if f.scalar]
                form = self.product([(f, n) for f, n in form.factors if not f.scalar])
            rest.append(form)
        if not rest and len(scalars) == len(flat) and coefficient == 1:
            return coefficient, scalars, rest
        return coefficient, scalars, rest

    def _diagonal_in(self, flat: list[Form], at: int, v: Form) -> Form | None:
        """diag(v) @ x for a column x is v * x; x @ diag(v) for a row x is x * v.T."""
        for end in range(at + 1, len(flat)):
            if flat[end].shape[1] == 1:
                column = self.upright(v)
                return self.dot(*flat[:at], self.mul(column, self.dot(*flat[at + 1 : end + 1])), *flat[end + 1 :])
        for start in range(at - 1, -1, -1):
            if flat[start].shape[0] == 1:
                row = self.flip(self.upright(v))
                return self.dot(*flat[:start], self.mul(self.dot(*flat[start:at]), row), *flat[at + 1 :])
        return None

    def flip(self, form: Form) -> Form:
        """Transpose."""
        shape = (form.shape[1], form.shape[0])
        if isinstance(form, Flip):
            return form.inner
        if isinstance(form, Apply) and form.function == "diag":
            return form
        if is_zero(form):
            return zero(shape)
        if "transpose" in self.rules:
            if form.scalar:
                return form
            if isinstance(form, Chain):
                return self.dot(*[self.flip(part) for part in reversed(form.factors)])
            if isinstance(form, Combination) and (form.cotangents or len(form.terms) == 1):
                return self.combine([(c, self.flip(part)) for c, part in form.terms], shape)
            if (
                isinstance(form, Product)
                and form.cotangents
                and any(f.scalar or isinstance(f, Flip) for f, _ in form.factors)
            ):
                return self.product([(f if f.scalar else self.flip(f), n) for f, n in form.factors])
        return Flip(shape, form)

    def apply(self, function: str, *args: Form, shape: Shape | None = None) -> Form:
        """A named function; of the shape of its first argument unless told."""
        if function == "diag" and args[0].scalar:
            return args[0]
        return Apply(shape or args[0].shape, function, args)

    # -- entries added up, a diagonal, some rows, zeros around: each is linear, so each goes through sums -------------
    def entries(self, form: Form) -> Form:
        """The sum of all entries."""
        if form.scalar:
            return form
        if isinstance(form, Combination) and (form.cotangents or len(form.terms) <= 1):
            return self.combine([(c, self.entries(part)) for c, part in self.filled(form)])
        if isinstance(form, Combination) and self.means and self._without_mean(form):
            return zero(SCALAR)
        if isinstance(form, Apply) and form.function in ("onehot", "softmax"):
            return ONE
        if isinstance(form, Symbol) and form.name in self.distributions:
            return ONE
        if isinstance(form, Padded | Flip):
            return self.entries(form.inner)
        if isinstance(form, Product):
            return self._entries_of_product(form)
        return Apply(SCALAR, "sum", (form,))

    def _without_mean(self, form: Combination) -> bool:
        """Whether a sum is what is left of a vector without its mean, so that its entries add up to nothing."""
        terms = []
        for c, part in self.filled(form):
            factors: list[Factor] = []
            for f, n in factors_of(part):
                known = self.means.get(f.name) if isinstance(f, Symbol) and not f.cotangent and n == 1 else None
                if known is None or not isinstance(f, Symbol):
                    factors.append((f, n))
                else:
                    factors.append((self.substituted(known[1], dict(zip(known[0], f.indices, strict=True))), n))
            terms.append((c, self.entries(self.product(factors))))
        return is_zero(self.combine(terms))

    def _entries_of_product(self, form: Product) -> Form:
        scalars = [(f, n) for f, n in form.factors if f.scalar]
        wide = [(f, n) for f, n in form.factors if not f.scalar]
        if scalars:
            return self.product([*scalars, (self.entries(self.product(wide)), Fraction(1))])
        gradients = [f for f, n in wide if f.cotangents and n == 1]
        if len(gradients) == 1 and len(wide) > 1 and 1 in form.shape:
            rest = self.product([(f, n) for f, n in wide if f is not gradients[0]])
            column = form.shape[1] == 1
            turned = self.flip(rest)
            return self.dot(turned, gradients[0]) if column else self.dot(gradients[0], turned)
        return Apply(SCALAR, "sum", (form,))

    def diagonal(self, form: Form, like: Form) -> Form:
        """The diagonal of a square matrix, as a vector in the shape of `like`."""
        if like.shape[0] == 1:
            return self.flip(self.diagonal(form, self.flip(like)))
        if isinstance(form, Combination) and form.terms:
            return self.combine([(c, self.diagonal(part, like)) for c, part in self.filled(form)], like.shape)
        if isinstance(form, Chain):
            for i, factor in enumerate(form.factors[:-1], start=1):
                if factor.shape[1] == 1:
                    return self.mul(self.dot(*form.factors[:i]), self.flip(self.dot(*form.factors[i:])))
        if isinstance(form, Product) and any(f.scalar for f, _ in form.factors):
            wide = self.product([(f, n) for f, n in form.factors if not f.scalar])
            return self.product(
                [*[(f, n) for f, n in form.factors if f.scalar], (self.diagonal(wide, like), Fraction(1))]
            )
        if is_zero(form):
            return zero(like.shape)
        ones = self.ones(like)
        return self.dot(self.mul(form, self.apply("diag", ones, shape=form.shape)), ones)

    def rows(self, form: Form, first: int, last: int) -> Form:
        """Some of the rows of a form, counted from 1."""
        height, shape = form.shape[0], (last - first + 1, form.shape[1])
        if (first, last) == (1, height):
            return form
        if isinstance(form, Combination) and (form.cotangents or len(form.terms) <= 1):
            return self.combine([(c, self.rows(part, first, last)) for c, part in self.filled(form)], shape)
        if isinstance(form, Product) and any(f.scalar for f, _ in form.factors):
            return self.product([(f if f.scalar else self.rows(f, first, last), n) for f, n in form.factors])
        if isinstance(form, Rows):
            return self.rows(form.inner, form.first + first - 1, form.first + last - 1)
        if isinstance(form, Padded):
            if form.first <= first and last <= form.last:
                return self.rows(form.inner, first - form.first + 1, last - form.first + 1)
            if last < form.first or form.last < first:
                return zero(shape)
        return Rows(shape, form, first, last)

    def padded(self, form: Form, first: int, height: int) -> Form:
        """A form as the rows from `first` on of something with `height` rows."""
        shape = (height, form.shape[1])
        if form.shape[0] == height:
            return form
        if isinstance(form, Combination) and (form.cotangents or len(form.terms) <= 1):
            return self.combine([(c, self.padded(part, first, height)) for c, part in self.filled(form)], shape)
        if isinstance(form, Product) and not form.scalar and any(f.scalar for f, _ in form.factors):
            wide = self.product([(f, n) for f, n in form.factors if not f.scalar])
            return self.product(
                [*[(f, n) for f, n in form.factors if f.scalar], (Padded(shape, wide, first), Fraction(1))]
            )
        return Padded(shape, form, first)

    def _into_padded(self, factors: list[Factor]) -> list[Factor]:
        """A product entry by entry with something padded is padded itself: the other rows are zero."""
        at = next((i for i, (f, n) in enumerate(factors) if isinstance(f, Padded) and n == 1), None)
        wide = [(f, n) for i, (f, n) in enumerate(factors) if i != at and not f.scalar]
        if at is None or not wide:
            return factors
        pad = factors[at][0]
        assert isinstance(pad, Padded)
        cut = [(self.rows(f, pad.first, pad.last), n) for f, n in wide]
        inner = self.product([(pad.inner, Fraction(1)), *cut])
        scalars = [(f, n) for i, (f, n) in enumerate(factors) if i != at and f.scalar]
        return [*scalars, (Padded(pad.shape, inner, pad.first), Fraction(1))]

    # -- index variables ----------------------------------------------------------------------------------------------
    def total(
        self,
        kind: str,
        variable: str,
        constraints: Sequence[Constraint],
        body: Form,
        around: Domain = EVERYWHERE,
    ) -> Form:
        """A sum over a bound variable; what does not depend on it stands before the sum, times the number of steps.

        `around` is what is known of the other variables.
        """
        if kind != "sum" or "coefficients" not in self.rules:
            return Total(body.shape, kind, variable, tuple(constraints), body)
        if isinstance(body, Combination):
            free = [(c, part) for c, part in body.terms if variable not in part.variables]
            if free or len(body.terms) == 1:
                bound = [(c, part) for c, part in body.terms if variable in part.variables]
                if len(bound) == 1:
                    bound = [(bound[0][0], self.total(kind, variable, constraints, bound[0][1], around))]
                elif bound:
                    rest = Combination(body.shape, tuple(bound))
                    bound = [(Fraction(1), self.total(kind, variable, constraints, rest, around))]
                counted = [(c, self.mul(self.steps(variable, constraints, around), part)) for c, part in free]
                return self.combine([*bound, *counted], body.shape)
        outside = [(f, n) for f, n in factors_of(body) if variable not in f.variables]
        inside = [(f, n) for f, n in factors_of(body) if variable in f.variables]
        if not inside:
            return self.mul(self.steps(variable, constraints, around), body)
        if outside:
            inner = self.total(kind, variable, constraints, self.product(inside), around)
            return self.product([*outside, (inner, Fraction(1))])
        return Total(body.shape, kind, variable, tuple(constraints), body)

    def steps(self, variable: str, constraints: Sequence[Constraint], around: Domain = EVERYWHERE) -> Form:
        """How many values a variable has: last - first + 1 where it runs over an interval, else a sum of ones."""
        bounds = [c.affine.without(variable) for c in constraints if c.kind == ">="]
        signs = [c.affine.coefficient(variable) for c in constraints if c.kind == ">="]
        if len(constraints) == 2 and sorted(signs) == [-1, 1]:
            number = bounds[0] + bounds[1] + 1
            if around.implies(Constraint(">=", number)):
                return self.affine(number)
        return Total(SCALAR, "sum", variable, tuple(constraints), ONE)

    def substituted(self, form: Form, values: Mapping[str, Affine]) -> Form:
        """The form with affine steps in the place of index variables, in normal form again."""
        if not values or form.variables.isdisjoint(values):
            return form
        return self.rebuilt(form, lambda leaf: self._moved(leaf, values), values)

    def _moved(self, leaf: Form, values: Mapping[str, Affine]) -> Form:
        if isinstance(leaf, Symbol):
            indices = tuple(index.substituted(values) for index in leaf.indices)
            return Symbol(leaf.shape, leaf.name, indices, leaf.cotangent)
        if isinstance(leaf, Step) and leaf.name in values:
            return self.affine(values[leaf.name])
        return leaf

    def rebuilt(self, form: Form, change: Callable[[Form], Form], values: Mapping[str, Affine] = {}) -> Form:
        """The form with every symbol and step replaced by what `change` makes of it, in normal form again."""
        again = lambda part: self.rebuilt(part, change, values)  # noqa: E731
        match form:
            case Symbol() | Step():
                return change(form)
            case Combination():
                return self.combine([(c, again(part)) for c, part in form.terms], form.shape)
            case Product():
                return self.product([(again(part), n) for part, n in form.factors])
            case Chain():
                return self.dot(*map(again, form.factors))
            case Flip():
                return self.flip(again(form.inner))
            case Apply(function="**"):
                return self.raised(*map(again, form.args))
            case Apply(function="ones_like") if not form.scalar:
                return self.ones(again(form.args[0]))
            case Apply():
                return self.apply(form.function, *map(again, form.args), shape=form.shape)
            case Rows():
                return self.rows(again(form.inner), form.first, form.last)
            case Padded():
                return self.padded(again(form.inner), form.first, form.shape[0])
            case Total():
                bounds = [constraint.substituted(values) for constraint in form.constraints]
                return self.total(form.kind, form.variable, bounds, again(form.body))
        raise TypeError(f"no way to rebuild {form!r}")

    # -- common factors, and rows that fill a whole ----------------------------------------------------------------
    def _powers_added(self, factors: list[Factor]) -> list[Factor]:
        """x**(p-1) * x as x**p, for exponents that are no numbers."""
        named = {f.args[0].key: f.args[0] for f, _ in factors if isinstance(f, Apply) and f.function == "**"}
        for key, base in named.items():
            same = [(f, n) for f, n in factors if f.key == key or (is_power(f) and f.parts[0].key == key)]
            if len(same) > 1:
                rest = [factor for factor in factors if factor not in same]
                exponents = [self.scale(n, f.parts[1] if is_power(f) else ONE) for f, n in same]
                factors = [*rest, *factors_of(self.raised(base, self.add(*exponents)))]
        return factors

    def _stacked(self, terms: list[Term]) -> list[Term]:
        """Padded terms that fill all rows together, one above the other."""
        groups: dict[str, list[tuple[Fraction, Padded, list[Factor]]]] = {}
        rest: list[Term] = []
        for c, form in terms:
            pads = [f for f, n in factors_of(form) if isinstance(f, Padded) and n == 1]
            others = [(f, n) for f, n in factors_of(form) if not isinstance(f, Padded)]
            if len(pads) != 1 or not all(f.scalar for f, _ in others):
                rest.append((c, form))
                continue
            key = "*".join(sorted(f"{f.key}^{n}" for f, n in others))
            groups.setdefault(key, []).append((c, pads[0], others))
        for key, group in list(groups.items()):
            if key and len(groups) > 1:
                self._fetch_numbers(group, groups.get("", []))
        for group in groups.values():
            rest += self._rows_filled(group)
        return rest

    def _fetch_numbers(
        self,
        group: list[tuple[Fraction, Padded, list[Factor]]],
        loose: list[tuple[Fraction, Padded, list[Factor]]],
    ) -> None:
        """Rows of one entry with the factors of a group in them join it: s * [x; y] for s * [x; 0] + [0; s * y]."""
        others = group[0][2]
        for entry in list(loose):
            c, pad, _ = entry
            table = {f.key: (f, n) for f, n in factors_of(pad.inner)}
            if pad.inner.scalar and all(table.get(f.key, (f, Fraction(0)))[1] == n for f, n in others):
                beside = {f.key for f, _ in others}
                inner = self.product([(f, n) for f, n in table.values() if f.key not in beside])
                group.append((c, Padded(pad.shape, inner, pad.first), others))
                loose.remove(entry)

    def _rows_filled(self, group: Sequence[tuple[Fraction, Padded, list[Factor]]]) -> list[Term]:
        if not group:
            return []
        places: dict[tuple[int, int], list[Term]] = {}
        for c, pad, _ in group:
            places.setdefault((pad.first, pad.last), []).append((c, pad.inner))
        shape, others = group[0][1].shape, group[0][2]
        ordered = sorted(places)
        covered = [1, *[last + 1 for _, last in ordered]]
        if [first for first, _ in ordered] == covered[:-1] and covered[-1] == shape[0] + 1:
            parts = tuple(self.combine(places[place]) for place in ordered)
            form: Form = Apply(shape, "stack", parts)
            return [(Fraction(1), self.product([*others, (form, Fraction(1))]) if others else form)]
        result: list[Term] = []
        for first, last in ordered:
            inner = self.combine(places[first, last])
            if not is_zero(inner):
                padded: Form = Padded(shape, inner, first)
                result.append((Fraction(1), Product(shape, (*others, (padded, Fraction(1)))) if others else padded))
        return result

    def _factored(self, terms: list[Term]) -> list[Term]:
        """`dh * a - dh * b` becomes `dh * (a - b)`, and `p * dp - p * (p.T @ dp)` becomes `p * (dp - p.T @ dp)`."""
        for group_of in (own_gradient, inner_product, names_of_gradients):
            groups: dict[str, list[Term]] = {}
            for c, form in terms:
                groups.setdefault(group_of(form) or f"alone {form.key}", []).append((c, form))
            terms = []
            for key, group in groups.items():
                if len(group) == 1 or key.startswith("alone"):
                    terms += group
                elif group_of is inner_product:
                    terms += self._rows_added(group)
                else:
                    terms += self._taken_out(group)
        if len(terms) > 1 and all(form.cotangents for _, form in terms):
            terms = self._taken_out(terms)
        return terms

    def _rows_added(self, terms: list[Term]) -> list[Term]:
        chains = [form for _, form in terms if isinstance(form, Chain)]
        before = self.combine([(c, self.flip(chain.factors[0])) for (c, _), chain in zip(terms, chains, strict=True)])
        return [(Fraction(1), self.dot(self.flip(before), chains[0].factors[1]))]

    def _taken_out(self, terms: list[Term]) -> list[Term]:
        tables = [{f.key: (f, n) for f, n in factors_of(form)} for _, form in terms]
        common = [(f, n) for key, (f, n) in tables[0].items() if all(t.get(key, (f, None))[1] == n for t in tables[1:])]
        if not common:
            return terms
        taken = {f.key for f, _ in common}
        rests = []
        for (c, _), table in zip(terms, tables, strict=True):
            rest = self.product([(f, n) for f, n in table.values() if f.key not in taken])
            rests.append((c, rest))
        signs = {c for c, _ in rests}
        if len(signs) == 1 and -1 in signs:
            inner, sign = self.combine([(-c, rest) for c, rest in rests]), Fraction(-1)
        else:
            inner, sign = self.combine(rests), Fraction(1)
        if is_zero(inner):
            return []
        # built by hand: multiplying out again what was just taken out would never end
        shape = next((form.shape for _, form in terms if not form.scalar), terms[0][1].shape)
        number = inner.terms[0] if isinstance(inner, Combination) and len(inner.terms) == 1 else None
        if number is not None:
            sign, inner = sign * number[0], number[1]
        factors = [*common, *factors_of(inner)]
        return [(sign, Product(shape, tuple(sorted(merged(factors), key=factor_order))))]


def broadcast(shapes: Iterable[Shape]) -> Shape:
    """The shape of a sum or product entry by entry: the larger of one entry and many."""
    rows, columns = 1, 1
    for r, c in shapes:
        rows, columns = max(rows, r), max(columns, c)
    return rows, columns


def _shaped(form: Form) -> Form:
    """A shorter form of the same shape."""
    while True:
        parts = [part for part in form.parts if part.shape == form.shape]
        inner = isinstance(form, Combination | Product | Total) or (
            isinstance(form, Apply) and form.function != "stack"
        )
        if not inner or not parts:
            return form
        form = parts[0]
