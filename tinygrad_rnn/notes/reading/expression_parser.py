"""Tokens of LaTeX as trees of notation: the expressions that stand between relations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from ..notation import (
    Added,
    Array,
    BigOperator,
    Braced,
    Brackets,
    Differentiation,
    Ellipsis,
    Extent,
    Letters,
    Multiplied,
    Notation,
    Numeral,
    Over,
    Related,
    Slicing,
    WithScripts,
    Words,
)
from .environments import environment, rows
from .latex_tokens import LatexToken, Unread, flat, group, optional

#: nesting deeper than this is no mathematics
DEEPEST = 60
#: signs between two sides, and how they are called in a tree; signs of one meaning have one name
RELATIONS = {
    "=": "=", ":=": ":=", "\\coloneqq": ":=", "\\triangleq": ":=", "\\equiv": "\\equiv", "\\doteq": ":=",
    "+=": "+=", "-=": "-=", "\\leftarrow": "\\leftarrow", "\\gets": "\\leftarrow", "\\Leftarrow": "\\leftarrow",
    "\\longleftarrow": "\\leftarrow", "\\xleftarrow": "\\leftarrow", "\\approx": "\\approx", "\\simeq": "\\approx",
    "\\sim": "\\sim", "\\propto": "\\propto", "\\to": "\\to", "\\rightarrow": "\\to", "\\longrightarrow": "\\to",
    "\\mapsto": "\\to", "\\in": "\\in", "\\notin": "\\notin", "\\ne": "\\ne", "\\neq": "\\ne", "<": "<", ">": ">",
    "\\lt": "<", "\\gt": ">", "\\le": "\\le", "\\leq": "\\le", "\\leqslant": "\\le", "\\ge": "\\ge", "\\geq": "\\ge",
    "\\geqslant": "\\ge", "\\ll": "\\ll", "\\gg": "\\gg", "\\subset": "\\in", "\\subseteq": "\\in", "\\colon": ":",
    ":": ":", "==": "=", "\\overset": "=", "\\stackrel": "=", "\\Longleftarrow": "\\leftarrow",
    "\\cong": "\\approx",
}  # fmt: skip
OPERATORS = {
    "*": "*", "\\cdot": "\\cdot", "\\odot": "\\odot", "\\circ": "\\circ", "\\times": "\\times",
    "\\otimes": "\\otimes", "\\ast": "*", "\\bullet": "\\bullet", "@": "@", "\\star": "*", "/": "/", "\\div": "/",
    "\\oslash": "/",
}  # fmt: skip
ACCENTS = {
    "\\hat": "hat", "\\widehat": "hat", "\\tilde": "tilde", "\\widetilde": "tilde", "\\bar": "bar",
    "\\overline": "bar", "\\underline": "underline", "\\dot": "dot", "\\ddot": "ddot", "\\check": "check",
    "\\breve": "breve", "\\acute": "acute", "\\grave": "grave", "\\mathring": "ring",
    "\\overrightarrow": "rightarrow", "\\overleftarrow": "leftarrow",
}  # fmt: skip
FONTS = {
    "\\mathbf", "\\boldsymbol", "\\bm", "\\mathcal", "\\mathbb", "\\mathfrak", "\\mathscr", "\\mathit", "\\mathsf",
    "\\mathtt", "\\mathnormal", "\\pmb",
}  # fmt: skip
UPRIGHT = {
    "\\mathrm", "\\operatorname", "\\operatorname*", "\\rm",
}  # fmt: skip
FUNCTIONS = {
    "tanh", "sinh", "cosh", "exp", "log", "ln", "sin", "cos", "tan", "arctan", "max", "min", "det", "dim", "arg",
    "sup", "inf", "lim", "deg", "gcd", "ker", "Pr", "hom", "cot", "sec", "csc", "coth", "arcsin", "arccos", "lg",
}  # fmt: skip
GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "vartheta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "pi", "varpi", "rho", "varrho", "sigma", "varsigma", "tau", "upsilon", "phi",
    "varphi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi",
    "Psi", "Omega",
}  # fmt: skip
#: other signs that are read as a letter of their own
LETTERS = {
    "ell": "ell", "partial": "partial", "nabla": "nabla", "infty": "infty", "top": "top", "intercal": "top",
    "dagger": "dagger", "prime": "prime", "hbar": "hbar", "imath": "i", "jmath": "j", "mathbbm": "1",
    "emptyset": "emptyset", "star": "star", "perp": "perp", "Re": "Re", "Im": "Im", "#": "#", "%": "%", "_": "_",
    "&": "&", "$": "$", "dag": "dagger", "square": "square", "checkmark": "checkmark", "ast": "*",
    "bullet": "bullet", "circ": "circ", "forall": "forall", "exists": "exists",
}  # fmt: skip
BIG = {
    "\\sum": "sum", "\\prod": "prod", "\\int": "int", "\\bigodot": "bigodot", "\\bigotimes": "bigotimes",
    "\\coprod": "coprod", "\\bigcup": "bigcup", "\\iint": "int", "\\oint": "int", "\\bigoplus": "bigoplus",
}  # fmt: skip
OPENING = {
    "(": "(", "[": "[", "\\{": "{", "\\lbrace": "{", "\\langle": "<", "\\lvert": "|", "\\lVert": "||",
    "\\lbrack": "[", "\\lfloor": "floor", "\\lceil": "ceil",
}  # fmt: skip
CLOSING = {
    ")": "(", "]": "[", "\\}": "{", "\\rbrace": "{", "\\rangle": "<", "\\rvert": "|", "\\rVert": "||",
    "\\rbrack": "[", "\\rfloor": "floor", "\\rceil": "ceil",
}  # fmt: skip
BARS = {
    "|": "|", "\\vert": "|", "\\|": "||", "\\Vert": "||", "\\mid": "|",
}  # fmt: skip
DOTS = {
    "\\dots", "\\ldots", "\\cdots", "\\vdots", "\\ddots", "\\dotsc", "\\dotsb", "\\dotsm",
}  # fmt: skip
MATRICES = {
    "matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix", "array", "cases", "dcases",
    "rcases", "psmallmatrix", "bsmallmatrix", "substack", "aligned", "gathered", "split",
}  # fmt: skip
SPACES = {
    "\\ ", "\\quad", "\\qquad", "\\;", "\\enspace", "\\thinspace", "\\space",
}  # fmt: skip
#: a letter, in front of it the sign of a differential
_DIFFERENTIALS = {
    "\\partial": "partial", "d": "d", "\\delta": "d", "D": "d", "\\mathrm{d}": "d",
}  # fmt: skip


def relation_at(source: Sequence[LatexToken], at: int) -> tuple[str, int] | None:
    """The relation that begins at a place, by its sign, and how many tokens it is made of."""
    if at >= len(source) or source[at].kind == "text":
        return None
    text = source[at].text
    after = source[at + 1].text if at + 1 < len(source) else ""
    if text in ("+", "-", ":", "=") and after == "=" and not source[at + 1].spaced:
        return text + after, 2
    if text == "{" and at + 2 < len(source) and source[at + 1].text == "=" and source[at + 2].text == "}":
        return "=", 3
    if text in ("\\overset", "\\stackrel", "\\xleftarrow", "\\underset"):
        _, end = optional(source, at + 1)
        over, end = group(source, end)
        base, end = group(source, end) if text != "\\xleftarrow" else ([], end)
        if text == "\\xleftarrow":
            return ("+=" if [t.text for t in over] == ["+"] else "\\leftarrow"), end - at
        return ("=", end - at) if [t.text for t in base] in (["="], [":", "="]) else None
    return (text, 1) if text in RELATIONS and text not in ("\\overset", "\\stackrel") else None


class Expressions:
    """Reads sides of statements. `damaged` says that the document has lost underscores, which are then put back."""

    def __init__(self, damaged: bool = False) -> None:
        self.damaged = damaged
        self.repairs: list[tuple[int, int, str, str]] = []
        self._depth = 0

    def side(self, source: Sequence[LatexToken]) -> Notation:
        """The tree of one side. Raises `Unread` for what is none."""
        self._depth += 1
        try:
            if self._depth > DEEPEST:
                raise Unread(f"brackets stand in each other more than {DEEPEST} deep", source[0].start, source[-1].end)
            return _Side(self, source).all()
        finally:
            self._depth -= 1


class _Side:
    """One pass over the tokens of an expression."""

    def __init__(self, parser: Expressions, source: Sequence[LatexToken]) -> None:
        self.parser = parser
        self.source = [token for token in source if token.text not in SPACES]
        self.at = 0
        self.all_of = source
        if not self.source:
            start, end = (source[0].start, source[-1].end) if source else (0, 0)
            raise Unread("nothing stands here", start, end)

    # -- places --------------------------------------------------------------------------------------------------------
    def peek(self, ahead: int = 0) -> str:
        place = self.at + ahead
        return self.source[place].text if place < len(self.source) else ""

    @property
    def token(self) -> LatexToken:
        return self.source[min(self.at, len(self.source) - 1)]

    def extent(self, start: int) -> Extent:
        first, last = self.source[start], self.source[max(start, self.at - 1)]
        return Extent(min(first.start, last.start), max(first.end, last.end))

    def fail(self, reason: str) -> Unread:
        return Unread(reason, self.token.start, self.token.end)

    # -- sums and products ---------------------------------------------------------------------------------------------
    def all(self) -> Notation:
        made = self.sum()
        if self.at < len(self.source):
            text = self.peek()
            known = "no command this reader knows" if self.token.kind == "command" else "not expected here"
            raise self.fail(f"{text} is {known}")
        return made

    def sum(self) -> Notation:
        start = self.at
        signs, terms = [], []
        sign = self._sign()
        first = sign or "+"
        terms.append(self.product())
        signs.append(first)
        while sign := self._sign():
            if self.at >= len(self.source):
                raise self.fail(f"nothing follows the sign {sign}")
            signs.append(sign)
            terms.append(self.product())
        if len(terms) == 1 and first == "+":
            return terms[0]
        return Added(self.extent(start), tuple(terms), tuple(signs))

    def _sign(self) -> str:
        made = ""
        while self.peek() in ("+", "-", "\\pm", "\\mp"):
            text = self.peek()
            self.at += 1
            made = "±" if text in ("\\pm", "\\mp") else "-" if (text == "-") != (made == "-") else "+"
        return made

    def product(self) -> Notation:
        start = self.at
        factors = [self.factor()]
        operators: list[str] = []
        while self.at < len(self.source) and self.peek() not in ("+", "-", "\\pm", "\\mp", ",", ";", "&", ":"):
            if self.peek() in RELATIONS or self.peek() in CLOSING:
                break
            operator = self._operator()
            if self.at >= len(self.source):
                raise self.fail(f"nothing follows {operator}")
            operators.append(operator)
            factors.append(self.factor())
        if not operators:
            return factors[0]
        return Multiplied(self.extent(start), tuple(factors), tuple(operators))

    def _operator(self) -> str:
        if self.peek() == "." and self.peek(1) == "d" and self.peek(2) == "o" and self.peek(3) == "t":
            self.at += 4
            return "dot"
        operator = OPERATORS.get(self.peek())
        if operator is None:
            return ""
        self.at += 1
        return operator

    def _evaluated(self, base: Notation, start: int) -> Notation:
        """`|_{h = 0}` behind an expression says where its value is taken, behind a derivative by which way it goes."""
        while self.peek() in BARS and self.peek(1) == "_":
            held, self.at = group(self.source, self.at + 2)
            note = _remark(self.parser, held)
            if isinstance(base, Differentiation):
                base = replace(base, extent=self.extent(start), note=(*base.note, note))
            else:
                base = Braced(self.extent(start), base, note)
        return base

    # -- factors -------------------------------------------------------------------------------------------------------
    def factor(self) -> Notation:
        start = self.at
        sign = self._sign() if self.peek() in ("+", "-") else ""
        base = self._slashed() or self._atom()
        base = self._evaluated(self._scripts(base, start), start)
        return Added(self.extent(start), (base,), (sign,)) if sign == "-" else base

    def _atom(self) -> Notation:
        if self.at >= len(self.source):
            raise self.fail("the formula ends where something has to follow")
        start, token = self.at, self.token
        text = token.text
        if token.kind == "text":
            self.at += 1
            return self._words(token, self.extent(start))
        if token.kind == "number":
            self.at += 1
            return Numeral(self.extent(start), Fraction(text), text)
        if token.kind == "letter":
            return self._letters()
        if text == "{":
            inside, self.at = group(self.source, self.at)
            if not any(t.text not in SPACES for t in inside):
                return Words(self.extent(start), "")
            for relation in range(len(inside)):
                if inside[relation].text == "\\over":
                    return self._fraction(inside[:relation], inside[relation + 1 :], self.extent(start))
            if any(t.text in (",", ";") and t.kind != "text" for depth, t in flat(inside) if depth == 0):
                return self._parts(inside, "(", self.extent(start))
            return self.parser.side(inside)
        if text in OPENING or text in BARS:
            return self._brackets()
        if text in OPERATORS and self.peek(1) in ("", ",", ";"):
            return self._sign_alone(text)
        if token.kind == "command":
            return self._command(text)
        if text in ("'", "_", "^"):
            return Letters(
                Extent(token.start, token.start), ""
            )  # scripts of nothing: they stand for something left out
        if text == "*":
            return self._sign_alone(text)
        raise self.fail(f"{text} is not expected here")

    def _sign_alone(self, text: str) -> Notation:
        """A sign that is spoken of, as in "where * is the product", or stands for any argument."""
        self.at += 1
        return Letters(self.extent(self.at - 1), text.lstrip("\\"))

    def _words(self, token: LatexToken, extent: Extent) -> Notation:
        text = token.text.strip()
        bare = text.replace("\\_", "_").replace("_", "").replace("-", "").replace(" ", "")
        if bare.isascii() and bare.isalnum() and " " not in text:
            return Letters(extent, text.replace("\\_", "_"), upright=True)
        return Words(extent, text)

    def _letters(self) -> Notation:
        """A run of letters without anything between them."""
        start = self.at
        self.at += 1
        while self.at < len(self.source):
            token, before = self.token, self.source[self.at - 1]
            if token.kind != "letter" or token.spaced or token.start != before.end:
                break
            self.at += 1
        name = "".join(token.text for token in self.source[start : self.at])
        return Letters(self.extent(start), name, run=len(name) > 1)

    def _command(self, text: str) -> Notation:
        start = self.at
        name = text[1:]
        if text in ("\\frac", "\\dfrac", "\\tfrac", "\\cfrac"):
            top, at = group(self.source, self.at + 1)
            bottom, self.at = group(self.source, at)
            return self._fraction(top, bottom, self.extent(start))
        if text in BIG:
            return self._big(BIG[text])
        if text == "\\nabla":
            return self._nabla()
        if text in ACCENTS:
            inside, self.at = group(self.source, self.at + 1)
            return self._accented(self.parser.side(inside), ACCENTS[text], self.extent(start))
        if text in FONTS:
            inside, self.at = group(self.source, self.at + 1)
            return self._moved(self.parser.side(inside), self.extent(start))
        if text in UPRIGHT:
            inside, self.at = group(self.source, self.at + 1)
            return self._upright(inside, self.extent(start))
        if text in ("\\underbrace", "\\overbrace", "\\overset", "\\underset", "\\stackrel", "\\xrightarrow"):
            return self._braced(text)
        if text == "\\sqrt":
            _, at = optional(self.source, self.at + 1)
            inside, self.at = group(self.source, at)
            root = Letters(Extent(self.source[start].start, self.source[start].end), "sqrt", upright=True)
            body = Brackets(self.extent(start), "(", (self.parser.side(inside),))
            return Multiplied(self.extent(start), (root, body), ("",))
        if text in DOTS:
            self.at += 1
            return Ellipsis(self.extent(start))
        if text == "\\begin":
            return self._array()
        self.at += 1
        if text in ("\\bmod", "\\pmod", "\\mod"):
            return Letters(self.extent(start), "mod", upright=True)
        if text == "\\not":
            return self._atom()
        if name in FUNCTIONS:
            return Letters(self.extent(start), name, upright=True)
        if name in GREEK:
            return Letters(self.extent(start), name.removeprefix("var"))
        if name in LETTERS:
            return Letters(self.extent(start), LETTERS[name])
        self.at -= 1
        raise self.fail(f"{text} is no command this reader knows, and the document does not define it")

    @staticmethod
    def _moved(node: Notation, extent: Extent) -> Notation:
        return type(node)(**{**vars(node), "extent": extent})

    def _accented(self, node: Notation, accent: str, extent: Extent) -> Notation:
        if not accent:
            return self._moved(node, extent)
        if isinstance(node, Letters):
            return self._moved(Letters(**{**vars(node), "accents": (*node.accents, accent)}), extent)
        return Multiplied(extent, (Letters(extent, accent, upright=True), Brackets(extent, "(", (node,))), ("",))

    def _upright(self, inside: list[LatexToken], extent: Extent) -> Notation:
        word = "".join(token.text for token in inside)
        if word.isascii() and word.isalnum() and not word.isdigit():
            return Letters(extent, word, upright=True)
        return self._moved(self.parser.side(inside), extent)

    def _braced(self, text: str) -> Notation:
        start = self.at
        first, self.at = group(self.source, self.at + 1)
        if text in ("\\underbrace", "\\overbrace"):
            body = self.parser.side(first)
            if self.peek() in ("_", "^"):
                remark, self.at = group(self.source, self.at + 1)
                return Braced(self.extent(start), body, _remark(self.parser, remark))
            return body
        second, self.at = group(self.source, self.at)
        return Braced(self.extent(start), self.parser.side(second), _remark(self.parser, first))

    # -- brackets and arrays -------------------------------------------------------------------------------------------
    def _brackets(self) -> Notation:
        start, opening = self.at, OPENING.get(self.peek()) or BARS[self.peek()]
        bar = self.peek() in BARS
        inside: list[LatexToken] = []
        depth, braces = 1, 0
        self.at += 1
        while self.at < len(self.source):
            text, kind = self.peek(), self.token.kind
            if kind != "text":
                braces += {"{": 1, "}": -1}.get(text, 0) if kind == "sign" else 0
                if bar:
                    depth -= braces == 0 and BARS.get(text) == opening
                else:
                    # [a, b) closes as well as (a, b): intervals are typed that way
                    depth += (text in OPENING and OPENING[text] == opening) - (
                        text in CLOSING and CLOSING[text] == opening
                    )
            if depth == 0:
                break
            inside.append(self.token)
            self.at += 1
        if depth:
            self.at = start
            raise self.fail(f"the bracket {self.peek()} is not closed")
        self.at += 1
        return self._parts(inside, opening, self.extent(start))

    def _parts(self, inside: list[LatexToken], opening: str, extent: Extent) -> Notation:
        inside = [token for token in inside if token.text not in SPACES]
        if inside and inside[0].text == "{" and group(inside, 0)[1] == len(inside):
            inside = group(inside, 0)[0]  # braces inside of the brackets that only set them
        pieces: list[list[LatexToken]] = [[]]
        separators: list[str] = []
        depth = 0
        for token in inside:
            depth += (token.text in OPENING or token.text in ("{", "\\begin")) - (
                token.text in CLOSING or token.text in ("}", "\\end")
            )
            if depth == 0 and token.text in (",", ";", "\\mid", "|", "\\quad", "\\qquad") and token.kind != "text":
                separators.append(";" if token.text == ";" else "|" if token.text in ("\\mid", "|") else ",")
                pieces.append([])
            else:
                pieces[-1].append(token)
        parts = tuple(_related(self.parser, piece, extent) for piece in pieces if _holds(piece))
        return Brackets(extent, opening, parts, tuple(separators[: max(0, len(parts) - 1)]))

    def _array(self) -> Notation:
        start = self.at
        name, content, self.at = environment(self.source, self.at)
        bare = name.rstrip("*")
        if bare not in MATRICES:
            self.at = start
            raise self.fail(f"the environment {name} is none this reader knows")
        if bare == "array" and content and content[0].text == "{":
            content = content[group(content, 0)[1] :]
        extent = self.extent(start)
        table = [[_without_commas(cell) for cell in row] for row in rows(content)]
        made = [tuple(_related(self.parser, cell, extent) for cell in row if cell) for row in table]
        return Array(extent, bare, tuple(row for row in made if row))

    # -- scripts -------------------------------------------------------------------------------------------------------
    def _scripts(self, base: Notation, start: int) -> Notation:
        lower: tuple[Notation, ...] = ()
        upper: tuple[Notation, ...] = ()
        primes = 0
        before = self.at
        while self.at < len(self.source):
            text = self.peek()
            if text == "'":
                primes += 1
                self.at += 1
            elif text in ("_", "^"):
                self.at += 1
                held, self.at = group(self.source, self.at)
                marks = sum(token.text == "\\prime" for token in held)
                if text == "^" and held and marks == len(held):
                    primes += marks
                elif text == "_":
                    lower += self._script(held)
                else:
                    upper += self._script(held)
            elif self._lost_underscore(base, lower):
                held, self.at = group(self.source, self.at)
                self.parser.repairs.append((held[0].start, held[-1].end, "no underscore", "an index"))
                lower += self._script(held)
            else:
                break
        if self.at == before:
            return base
        extent = self.extent(start)
        if isinstance(base, Letters) and not (base.lower or base.upper or base.primes):
            return Letters(extent, base.name, base.accents, lower, upper, primes, base.upright, base.run)
        return WithScripts(extent, base, lower, upper, primes)

    def _lost_underscore(self, base: Notation, lower: tuple[Notation, ...]) -> bool:
        ""
        "Whether a converter ate an underscore here: `h{t-1}`, `\\tilde{h}t`; asked in damaged documents only."
        ""
        if (
            not self.parser.damaged
            or lower
            or self.at >= len(self.source)
            or not isinstance(base, Letters)
            or self.token.spaced
        ):
            return False
        if self.peek() == "{":
            return True
        follows = self.peek(1)
        is_index = self.token.kind == "letter" and self.peek() in "tijklnm" and not follows.isalpha()
        return bool(base.accents) and is_index

    def _script(self, held: list[LatexToken]) -> tuple[Notation, ...]:
        """What a script holds, its parts divided by commas; signs that stand alone are letters there."""
        held = [token for token in held if token.text not in SPACES]
        if not held:
            return ()
        if held[0].text in ("<", "\\lt"):
            closing = next((i for i, token in enumerate(held) if token.text in (">", "\\gt")), 0)
            if closing > 1:
                extent = Extent(held[0].start, held[closing].end)
                step = Brackets(extent, "<", (_related(self.parser, held[1:closing], extent),))
                return (step, *self._script(held[closing + 1 :]))
        if (
            len(held) == 1
            and held[0].kind in ("sign", "command")
            and held[0].text in ("+", "-", "*", "\\ast", "\\star", "\\circ", "\\bullet", "\\cdot", ":")
        ):
            return (Letters(Extent(held[0].start, held[0].end), held[0].text.lstrip("\\")),)
        pieces: list[list[LatexToken]] = [[]]
        depth = 0
        for token in held:
            depth += (token.text in OPENING or token.text == "{") - (token.text in CLOSING or token.text == "}")
            if depth == 0 and token.text in (",", ";") and token.kind != "text":
                pieces.append([])
            else:
                pieces[-1].append(token)
        extent = Extent(held[0].start, held[-1].end)
        made = [_related(self.parser, piece, extent) for piece in pieces if _holds(piece)]
        if len(made) == 1 and isinstance(made[0], Multiplied) and isinstance(made[0].factors[0], Brackets):
            return made[0].factors  # `x^{<t> T}`, `h^{(t)\\top}`: two scripts
        return tuple(made)

    # -- big operators and derivatives ---------------------------------------------------------------------------------
    def _big(self, kind: str) -> Notation:
        start = self.at
        self.at += 1
        limits: dict[str, Notation] = {}
        while self.peek() in ("_", "^"):
            which = self.peek()
            self.at += 1
            held, self.at = group(self.source, self.at)
            held = [token for token in held if token.text not in SPACES]
            if held:
                limits[which] = _related(self.parser, held, Extent(held[0].start, held[-1].end))
        body = self.product() if self.at < len(self.source) and self.peek() not in RELATIONS else None
        if body is None:
            raise self.fail(f"nothing follows the sign of the {kind}")
        return BigOperator(self.extent(start), kind, limits.get("_"), limits.get("^"), body)

    def _fraction(self, top: list[LatexToken], bottom: list[LatexToken], extent: Extent) -> Notation:
        return self._derivative(top, bottom, extent) or Over(extent, self.parser.side(top), self.parser.side(bottom))

    def _derivative(self, top: list[LatexToken], bottom: list[LatexToken], extent: Extent) -> Notation | None:
        above = _differential(top, 0)
        places = _differentials(bottom)
        if above is None or not places:
            return None
        kind, length = above
        if kind == "d" and _differential(bottom, places[0])[0] != "d":  # type: ignore[index]
            return None
        order = 1
        rest = top[length:]
        if rest[:1] and rest[0].text == "^" and len(rest) > 1 and rest[1].kind != "letter":
            held, after = group(rest, 1)
            order = int(held[0].text) if held and held[0].kind == "number" and held[0].text.isdigit() else 1
            rest = rest[after:]
        by: list[Notation] = []
        for place, following in zip(places, [*places[1:], len(bottom)], strict=True):
            variable = bottom[place + _differential(bottom, place)[1] : following]  # type: ignore[index]
            if not variable:
                return None
            by.append(self.parser.side(variable))
        outside = [token for token in bottom[: places[0]] if token.text not in ("\\cdot", "\\times", "*")]
        of = self.parser.side(rest) if rest else None
        if (
            of is None
            and self.at < len(self.source)
            and self.peek() not in ("+", "-", ",", ";")
            and self.peek() not in RELATIONS
        ):
            self._operator()
            of = self.product()
            extent = Extent(extent.start, max(extent.end, of.extent.end))
        made: Notation = Differentiation(extent, kind, of, tuple(by), order)
        return (
            Multiplied(
                extent, (Over(extent, Numeral(extent, Fraction(1), "1"), self.parser.side(outside)), made), ("",)
            )
            if outside
            else made
        )

    def _slashed(self) -> Notation | None:
        """`dL/dh_t` and `\\partial L / \\partial h_t`: a derivative along the line."""
        start = self.at
        sign = _differential(self.source, start)
        if sign is None:
            return None
        slash = _slash(self.source, start)
        if slash is None or _differential(self.source, slash + 1) is None:
            return None
        end = _end_of_factor(self.source, slash + 1 + _differential(self.source, slash + 1)[1])  # type: ignore[index]
        self.at = end
        return self._derivative(list(self.source[start:slash]), list(self.source[slash + 1 : end]), self.extent(start))

    def _nabla(self) -> Notation:
        start = self.at
        self.at += 1
        by: tuple[Notation, ...] = ()
        note: tuple[Notation, ...] = ()
        while self.peek() in ("_", "^"):
            which = self.peek()
            self.at += 1
            held, self.at = group(self.source, self.at)
            if which == "_":
                by += self._script(held)
            else:
                extent = Extent(held[0].start, held[-1].end) if held else self.extent(start)
                note += (_remark(self.parser, held) if held else Words(extent, ""),)
        if (
            self.at >= len(self.source)
            or self.peek() in RELATIONS
            or self.peek() in OPERATORS
            or self.peek() in ("+", "-")
        ):
            return Differentiation(self.extent(start), "nabla", None, by, 1, note)
        at = self.at
        of = self._scripts(self._atom(), at)
        return Differentiation(self.extent(start), "nabla", of, by, 1, note)


def _holds(piece: Sequence[LatexToken]) -> bool:
    return any(token.text not in SPACES for token in piece)


def _without_commas(cell: Sequence[LatexToken]) -> list[LatexToken]:
    """A cell without the commas and spaces at its ends: `1, & i = k`."""
    places = [i for i, token in enumerate(cell) if token.text not in (*SPACES, ",", ";", ".")]
    return list(cell[places[0] : places[-1] + 1]) if places else []


def _remark(parser: Expressions, source: Sequence[LatexToken]) -> Notation:
    """A remark as a tree, as words where it is none."""
    extent = Extent(source[0].start, source[-1].end) if source else Extent(0, 0)
    try:
        return _related(parser, source, extent)
    except Unread:
        return Words(extent, " ".join(token.text for token in source))


def _related(parser: Expressions, source: Sequence[LatexToken], extent: Extent) -> Notation:
    """An expression with relations in it, as the limits of a sum, or with a colon, as a slice."""
    sides: list[list[LatexToken]] = [[]]
    signs: list[str] = []
    depth = at = 0
    while at < len(source):
        token = source[at]
        depth += (token.text in OPENING or token.text == "{") - (token.text in CLOSING or token.text == "}")
        found = relation_at(source, at) if depth == 0 else None
        if found is not None:
            signs.append(RELATIONS.get(found[0], found[0]))
            sides.append([])
            at += found[1]
        else:
            sides[-1].append(token)
            at += 1
    read = [parser.side(side) if _holds(side) else None for side in sides]
    if not signs and read[0] is not None:
        return read[0]
    if signs == [":"]:
        return Slicing(extent, read[0], read[1])
    return Related(extent, tuple(read), tuple(signs))


def _differential(source: Sequence[LatexToken], at: int) -> tuple[str, int] | None:
    ""
    "The kind of the differential sign at a place, and of how many tokens it is made: `d`, `\\partial`, `\\mathrm{d}`."
    ""
    if at >= len(source):
        return None
    token = source[at]
    if token.text in ("\\mathrm", "\\text", "\\operatorname", "\\rm") or token.kind == "text":
        if token.kind == "text":
            return ("d", 1) if token.text.strip() == "d" else None
        held, end = group(source, at + 1)
        return ("d", end - at) if [t.text for t in held] == ["d"] else None
    kind = _DIFFERENTIALS.get(token.text)
    after = source[at + 1] if at + 1 < len(source) else None
    if kind is None or (kind == "d" and after is not None and after.text == "_"):
        return None
    if token.kind == "letter" and at and source[at - 1].kind == "letter" and source[at - 1].end == token.start:
        return None  # the d of `ad`
    return kind, 1


def _differentials(source: Sequence[LatexToken]) -> list[int]:
    """Where the signs of differentials stand outside of braces and scripts."""
    places: list[int] = []
    at = 0
    while at < len(source):
        sign = _differential(source, at)
        if source[at].text in ("_", "^", "{"):
            _, at = group(source, at + (source[at].text != "{"))
        elif sign is not None:
            places.append(at)
            at += sign[1]
        else:
            at += 1
    return places


def _slash(source: Sequence[LatexToken], start: int) -> int | None:
    """Where the slash stands behind one factor, if it does."""
    sign = _differential(source, start)
    assert sign is not None
    end = _end_of_factor(source, start + sign[1])
    return end if end < len(source) and source[end].text == "/" else None


def _end_of_factor(source: Sequence[LatexToken], at: int) -> int:
    """Where the letters, commands, groups and scripts end that stand at a place."""
    first = at
    while at < len(source):
        token = source[at]
        if token.text in ("_", "^") or (token.text in ACCENTS or token.text in FONTS or token.text in UPRIGHT):
            at += 1
            if at < len(source):
                _, at = group(source, at)
        elif token.text == "'":
            at += 1
        elif token.text == "{":
            _, at = group(source, at)
        elif (
            token.kind in ("letter", "text") and (at == first or (not token.spaced and source[at - 1].kind == "letter"))
        ) or (token.kind == "command" and at == first and token.text not in OPERATORS):
            at += 1
        else:
            break
    return at
