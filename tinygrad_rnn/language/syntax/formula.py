"""The right-hand side of an equation: tokens to an expression, through Python's `ast` behind a whitelist.

Every name, number and condition is replaced by a placeholder before `ast` reads the formula, so what Python makes of
precedence and brackets is used and nothing else of it: no keyword, no attribute, no literal of the user's reaches it.
"""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from ..affine import affine
from ..expressions import Binary, Call, Concat, Expr, Number, Ref, Sum, Time, Transpose, Unary
from ..functions import ALIASES, FUNCTIONS, REDUCTIONS
from .commands import FUNCTION_SPELLINGS, OPERATOR_CALLS
from .conditions import INDEX_HINT, lengths_of, parse_condition, read_affines
from .indices import MAIN, MIRRORED, Condition, Constraint, Range
from .source import Source, Span, listed
from .subscripts import TAU
from .tokens import OPERATORS, Token

DEEPEST = 120
_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.MatMult: "@", ast.Pow: "**"}
_OPERAND = "a name, a number or an opening bracket"
_AFTER = "an operator or the end of the equation"


class _Item(NamedTuple):
    text: str
    span: Span
    token: Token | None
    condition: Condition | None = None


def parse_formula(
    source: Source,
    tokens: Sequence[Token],
    where: Span,
    variables: Sequence[str],
    ranges: Mapping[str, Range] = MAIN,
    facts: Sequence[Constraint] = (),
) -> Expr:
    """Read a formula in which `variables` (and the lengths that `ranges` names) are known times, of which `facts` hold;
    raises `LanguageError` with what was expected."""
    return _Parser(source, tokens, where, variables, ranges, facts).expression


class _Parser:
    def __init__(
        self,
        source: Source,
        tokens: Sequence[Token],
        where: Span,
        variables: Sequence[str],
        ranges: Mapping[str, Range],
        facts: Sequence[Constraint],
    ) -> None:
        self.facts = tuple(facts)
        self.source, self.ranges, self.lengths = source, ranges, lengths_of(ranges)
        self.items: list[_Item] = []
        self._translate(list(tokens), frozenset(variables))
        self._check(where)
        text = ""
        self.starts: list[int] = []
        self.ends: dict[int, int] = {}
        for number, item in enumerate(self.items):
            self.starts.append(len(text))
            text += item.text
            self.ends[len(text)] = number
            text += " "
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise source.error("this formula cannot be read", where, hint="split it into several equations") from None
        self.expression = self._convert(tree, frozenset(variables), 0)

    # -- tokens to the text that `ast` reads --------------------------------------------------------------------------
    def _translate(self, tokens: list[Token], variables: frozenset[str]) -> None:
        at, depth = 0, 0
        enclosing: list[tuple[int, Condition]] = []
        while at < len(tokens):
            token = tokens[at]
            comma = _first_comma(tokens, at) if token.text in REDUCTIONS else None
            if token.kind == "attribute":
                self.items.append(_Item(f".m{at}", token.span, token))
            elif token.kind != "operator":
                self.items.append(_Item(f"n{at}", token.span, token))
            else:
                self.items.append(_Item("," if token.text == ";" else token.text, token.span, token))
                depth += (token.text in "([") - (token.text in ")]")
                while enclosing and enclosing[-1][0] > depth:
                    enclosing.pop()
            if comma is not None:
                depth += 1
                after = tokens[comma + 1 : comma + 3]
                if [inner.text for inner in after] in (["axis", "="], ["dim", "="]):
                    hint = "write row_sums(A) or column_sums(A), or sum(v) for all entries of a column"
                    raise self.source.error(f"{token.text} takes no axis", after[0].span, hint=hint)
                condition = self._condition(tokens[at + 2 : comma], token.span, variables, enclosing)
                enclosing.append((depth, condition))
                self.items.append(_Item("(", tokens[at + 1].span, tokens[at + 1]))
                self.items.append(_Item(f"n{at}c", tokens[at + 1].span, None, condition))
                at = comma - 1
            at += 1

    def _condition(
        self, tokens: list[Token], where: Span, variables: frozenset[str], enclosing: list[tuple[int, Condition]]
    ) -> Condition:
        known = variables | {around.variable for _, around in enclosing}
        facts = [*self.facts, *(fact for _, around in enclosing for fact in around.constraints)]

        def choose(names: list[str]) -> str | None:
            new = [name for name in names if name not in known] or names
            if len(new) > 1:
                raise self.source.error(
                    f"which of {listed(new)} does this run over?",
                    where,
                    hint="give the sum a variable of its own, as in sum(k <= t, …)",
                )
            return new[0] if new else None

        condition = parse_condition(self.source, tokens, where, choose, self.ranges, known, facts)
        if condition.variable in known:
            same = [name for name, within in self.ranges.items() if within == condition.within]
            letter = next(name for name in (*same, "k", "j", "i", "s", "n", "m", "…") if name not in known)
            raise self.source.error(
                f"{condition.variable} has a value here already",
                where,
                hint=f"give the sum a letter of its own, as in sum({letter}, …)",
            )
        return condition

    # -- what may follow what -----------------------------------------------------------------------------------------
    def _check(self, where: Span) -> None:
        expects = True
        before: _Item | None = None
        brackets: list[str] = []
        for item in self.items:
            text = item.token.text if item.token else ""
            operand = item.token is None or item.token.kind in ("name", "number")
            called = before is not None and before.token is not None and before.token.kind == "attribute"
            callable_ = called or (before is not None and before.token is not None and before.token.kind == "name")
            if before is not None and called and text != "(":
                raise self._uncalled(before)
            if expects and operand:
                expects = False
            elif expects and text in ("(", "["):
                brackets.append("(" if text == "(" else "list")
            elif expects and text in ("+", "-"):
                pass
            elif not expects and text in OPERATORS:
                expects = True
            elif not expects and text in ("(", "[") and callable_:
                brackets.append("method" if called else "call" if text == "(" else "index")
                expects = True
            elif not expects and text in (")", "]") and brackets:
                brackets.pop()
            elif text == ")" and brackets[-1:] == ["method"]:
                brackets.pop()
                expects = False
            elif not expects and (text, brackets[-1:]) in (
                (",", ["call"]),
                (",", ["method"]),
                (",", ["list"]),
                (";", ["list"]),
                (",", ["index"]),
            ):
                expects = True
            elif expects or not (text == ".T" or (item.token is not None and item.token.kind == "attribute")):
                raise self._unexpected(item, expects)
            before = item
        if before is not None and before.token is not None and before.token.kind == "attribute":
            raise self._uncalled(before)
        if expects:
            last = self.items[-1].span if self.items else where
            raise self.source.error("the formula stops too early", last, hint=f"expected {_OPERAND} after this")

    def _uncalled(self, item: _Item) -> Exception:
        assert item.token is not None
        name = FUNCTION_SPELLINGS.get(item.token.text[1:], item.token.text[1:])
        hint = f"write W {OPERATOR_CALLS[name]} h" if name in OPERATOR_CALLS else f"write {name}(…)"
        return self.source.error(f"unexpected {item.token.text}", item.span, hint=hint)

    def _unexpected(self, item: _Item, expects: bool) -> Exception:
        text = self.source.quote(item.span) or item.text
        if expects:
            return self.source.error(f"unexpected {text!r}", item.span, hint=f"expected {_OPERAND}")
        hint = f"expected {_AFTER}"
        if item.token is None or item.token.kind != "operator" or text in "([":
            hint += f"; {self._written_out(item)}"
        elif text in ("<", ">", "<=", ">=", "!=", "="):
            hint += "; a condition stands at the end, as in: for t < T"
        return self.source.error(f"unexpected {text!r}", item.span, hint=hint)

    def _written_out(self, item: _Item) -> str:
        """What is meant where two operands follow each other: a condition, a call, a power, or a product."""
        at = next(place for place, other in enumerate(self.items) if other is item)
        before, after = self.items[at - 1], self.items[at + 1].text if at + 1 < len(self.items) else ""
        if item.token is not None and item.token.text in self.ranges and after in MIRRORED:
            return f"a condition stands at the end, as in: for {item.token.text} < T"
        if before.token is not None and before.token.text in FUNCTIONS:
            return f"write {before.token.text}({self._operand(at)})"
        if at > 2 and self.items[at - 2].text == "**":
            name = self.items[at - 3].token
            if name is not None and name.text in FUNCTIONS:
                return f"write {name.text}(…)**{self.source.quote(before.span)}"
        left = self.source.quote(before.span)
        if before.text == "]":
            left = self.source.quote(self.items[self._opening(at - 1) - 1].span.to(before.span))
        right = self._operand(at)
        if before.text in (")", ".T"):
            left = "(…)" if before.text == ")" else "W.T"
        return f"products are written out: {left} @ {right} for a matrix product, {left} * {right} entry by entry"

    def _operand(self, at: int) -> str:
        """The operand that begins at a place, as written; `(…)` for one in brackets."""
        if self.items[at].text in ("(", "["):
            return "(…)"
        end = at
        if at + 1 < len(self.items) and self.items[at + 1].text == "[":
            end = next((place for place in range(at, len(self.items)) if self.items[place].text == "]"), at)
        return self.source.quote(self.items[at].span.to(self.items[end].span))

    def _opening(self, at: int) -> int:
        """Where the bracket opens that closes at a place."""
        return next((place for place in range(at, 0, -1) if self.items[place].text == "["), at)

    # -- from `ast` to our expressions --------------------------------------------------------------------------------
    def _span(self, node: ast.expr) -> Span:
        first = self.items[bisect_left(self.starts, node.col_offset)]
        last = self.items[self.ends[node.end_col_offset or 0]]
        return first.span.to(last.span)

    def _item(self, node: ast.expr) -> _Item:
        return self.items[bisect_left(self.starts, node.col_offset)]

    def _convert(self, node: ast.expr, bound: frozenset[str], depth: int) -> Expr:
        if depth > DEEPEST:
            raise self.source.error(
                f"this formula is nested more than {DEEPEST} deep", self._span(node), hint="name the inner parts"
            )
        chain: list[ast.BinOp] = []
        while isinstance(node, ast.BinOp):
            chain.append(node)
            node = node.left
        result = self._single(node, bound, depth + 1)
        for outer in reversed(chain):
            right = self._convert(outer.right, bound, depth + 1)
            result = Binary(self._span(outer), _BINARY[type(outer.op)], result, right, self._sign(outer))
        return result

    def _sign(self, node: ast.BinOp) -> Span:
        at = bisect_left(self.starts, node.left.end_col_offset or 0)
        while self.items[at].text == ")":
            at += 1
        return self.items[at].span

    def _single(self, node: ast.expr, bound: frozenset[str], depth: int) -> Expr:
        span = self._span(node)
        match node:
            case ast.Name():
                return self._named(self._item(node), bound)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                sign = "-" if isinstance(node.op, ast.USub) else "+"
                return Unary(span, sign, self._convert(node.operand, bound, depth))
            case ast.Call(func=ast.Attribute()):
                return self._method(node, span, bound, depth)
            case ast.Attribute():
                return Transpose(span, self._convert(node.value, bound, depth))
            case ast.Subscript(value=ast.Name()):
                return self._indexed(node, span, bound)
            case ast.Call(func=ast.Name()):
                return self._call(node, span, bound, depth)
            case ast.List():
                return Concat(span, tuple(self._convert(part, bound, depth) for part in node.elts))
        raise self.source.error("this cannot be read as a formula", span, hint=f"expected {_OPERAND}")

    def _named(self, item: _Item, bound: frozenset[str]) -> Expr:
        token = item.token
        assert token is not None
        if token.kind == "number":
            return Number(token.span, self._number(token))
        name = token.text
        if name in bound or name in self.lengths:
            return Time(token.span, affine(name))
        if name in self.ranges or name == "t":
            raise self.source.error(
                f"{name} has no value here",
                token.span,
                hint=f"expected a target such as h[{name}], or sum({name}, …) around this",
            )
        if token.text in FUNCTIONS:
            raise self.source.error(f"{token.text} is a function", token.span, hint=f"expected {token.text}(…)")
        return Ref(token.span, token.text)

    def _number(self, token: Token) -> int | float:
        if token.text.isdigit() and len(token.text) < 16:
            return int(token.text)
        value = float(token.text)
        if value in (float("inf"), float("-inf")):
            raise self.source.error("this number is too large", token.span, hint="expected a number below 1e308")
        return value

    def _indexed(self, node: ast.Subscript, span: Span, bound: frozenset[str]) -> Expr:
        item = self._item(node)
        first = bisect_left(self.starts, node.value.end_col_offset or 0) + 1
        last = self.ends[node.end_col_offset or 0]
        inside = [inner.token for inner in self.items[first:last] if inner.token is not None]
        indices = read_affines(self.source, inside, span)
        for index in indices:
            for name in index.variables:
                if name not in bound and name not in self.lengths:
                    at = next(token.span for token in inside if token.text == name)
                    raise self._unbound(name, at, bound)
        assert item.token is not None
        if item.token.kind != "name":
            raise self.source.error("a number has no index", span, hint=f"expected {_AFTER}")
        return Ref(span, item.token.text, indices[0], indices[1:])

    def _unbound(self, variable: str, at: Span, bound: frozenset[str]) -> Exception:
        if variable in TAU:
            hint = f"the last step is T; write [T], not [{variable}]"
        elif variable in self.ranges or variable == "t":
            hint = f"expected a target with [{variable}], or sum({variable}, …) around this"
        else:
            hint = f"known here: {listed(sorted(bound | {*self.lengths}), 'and')}. {INDEX_HINT}"
        return self.source.error(f"{variable} is not a time here", at, hint=hint)

    def _call(self, node: ast.Call, span: Span, bound: frozenset[str], depth: int) -> Expr:
        token = self._item(node).token
        assert token is not None
        name = ALIASES.get(token.text, token.text)
        first = self._item(node.args[0]) if node.args else None
        if first is not None and first.condition is not None:
            if len(node.args) != 2:
                raise self.source.error(
                    f"{name} over time takes one formula", span, hint=f"expected {name}(t, formula)"
                )
            inner = bound | {first.condition.variable}
            return Sum(span, name, first.condition, self._convert(node.args[1], inner, depth))
        if name in OPERATOR_CALLS and name not in FUNCTIONS:
            return self._operator(name, node.args, span, token.span, bound, depth)
        if name not in FUNCTIONS:
            raise self._unknown(token, name)
        function = FUNCTIONS[name]
        if not function.takes(len(node.args)):
            hint = f"expected {name}({', '.join(function.arguments)})"
            raise self.source.error(f"{name} does not take {len(node.args)} arguments", span, hint=hint)
        return Call(span, name, tuple(self._convert(arg, bound, depth) for arg in node.args))

    def _method(self, node: ast.Call, span: Span, bound: frozenset[str], depth: int) -> Expr:
        """`W.dot(h)` is W @ h, `x.tanh()` is tanh(x)."""
        assert isinstance(node.func, ast.Attribute)
        at = self.ends[node.func.end_col_offset or 0]
        token = self.items[at].token
        assert token is not None
        name = FUNCTION_SPELLINGS.get(token.text[1:], "")
        args = [node.func.value, *node.args]
        if name in OPERATOR_CALLS:
            return self._operator(name, args, span, token.span, bound, depth)
        if name not in FUNCTIONS:
            raise self.source.error(
                f"unexpected {token.text}", token.span, hint="the only attribute is .T, the transpose"
            )
        function = FUNCTIONS[name]
        if not function.takes(len(args)):
            hint = f"write {name}({', '.join(function.arguments)})"
            raise self.source.error(f"{name} does not take {len(args)} arguments", span, hint=hint)
        return Call(span, name, tuple(self._convert(arg, bound, depth) for arg in args))

    def _operator(
        self, name: str, args: Sequence[ast.expr], span: Span, sign: Span, bound: frozenset[str], depth: int
    ) -> Expr:
        """A call that is an operator: `np.dot(W, h)`, a fraction."""
        op = OPERATOR_CALLS[name]
        if len(args) != 2:
            raise self.source.error(f"{name} takes two operands", span, hint=f"write a {op} b")
        left, right = (self._convert(arg, bound, depth) for arg in args)
        return Binary(span, op, left, right, sign)

    def _unknown(self, token: Token, name: str) -> Exception:
        close = get_close_matches(name[:40], [*FUNCTIONS, *REDUCTIONS], 3)
        hint = (
            f"did you mean {listed(close)}? "
            if close
            else f"to multiply, write {name[:40]} @ (…) or {name[:40]} * (…). "
        )
        return self.source.error(
            f"unknown function {name[:40]}", token.span, hint=f"{hint}Known functions: {', '.join(FUNCTIONS)}"
        )


def _first_comma(tokens: list[Token], at: int) -> int | None:
    """Where the condition of `sum(condition, formula)` ends; None for `sum(v)`."""
    if at + 1 >= len(tokens) or tokens[at + 1].text != "(":
        return None
    depth = 0
    for place in range(at + 1, len(tokens)):
        text = tokens[place].text
        depth += (text in "([") - (text in ")]")
        if depth == 0:
            return None
        if depth == 1 and text == ",":
            return place
    return None
