"""How LaTeX, numpy and torch spell what the language has: tables from a command or a function to a token.

Tables only. What a script, a fraction or a method stands for in an equation is worked out in `desugar`.
"""

from __future__ import annotations

from ...core.symbols import GREEK


def _words(text: str) -> list[str]:
    return text.split()


_SPACES = "quad qquad left right big Big bigg Bigg bigl bigr Bigl Bigr displaystyle textstyle limits nolimits"
_FONTS = "mathbf boldsymbol bm mathrm mathit mathsf mathcal mathbb mathscr text textrm textbf operatorname vec"
_SAME = (
    "tanh exp log log1p sqrt sin cos sign relu softplus softmax log_softmax logsumexp sum mean prod norm diag outer "
    "inv solve maximum minimum ones_like cross_entropy"
)

#: commands that stand for one token each: its kind and its text
COMMANDS: dict[str, tuple[str, str]] = {
    **{name: ("name", letter) for name, letter in GREEK.items()},
    "varepsilon": ("name", "ε"),
    "varphi": ("name", "φ"),
    "vartheta": ("name", "θ"),
    "ell": ("name", "ℓ"),
    **{name: ("name", name) for name in ("tanh", "exp", "log", "ln", "sin", "cos", "max", "min", "in")},
    "cdot": ("operator", "@"),
    **dict.fromkeys(("odot", "circ", "times", "ast", "star"), ("operator", "*")),
    **dict.fromkeys(("le", "leq"), ("operator", "<=")),
    **dict.fromkeys(("ge", "geq"), ("operator", ">=")),
    **dict.fromkeys(("ne", "neq"), ("operator", "!=")),
    "lt": ("operator", "<"),
    "gt": ("operator", ">"),
    **dict.fromkeys(("dots", "ldots", "cdots", "dotsc"), ("operator", "..")),
    **dict.fromkeys(("coloneqq", "triangleq", "gets", "leftarrow"), ("operator", "=")),
    "forall": ("name", "for"),
    "land": ("name", "and"),
    "langle": ("operator", "<"),
    "rangle": ("operator", ">"),
    **dict.fromkeys(("lbrack",), ("operator", "[")),
    **dict.fromkeys(("rbrack",), ("operator", "]")),
}
#: commands that only set the width of a space or the size of a bracket
SPACES = frozenset(_words(_SPACES))
#: commands that choose a font for what follows; the name stays what it is
FONTS = frozenset(_words(_FONTS))
#: commands that set an accent on a name, as combining characters
ACCENT_COMMANDS = {
    "tilde": "\u0303", "widetilde": "\u0303", "hat": "\u0302", "widehat": "\u0302", "bar": "\u0304",
    "overline": "\u0304", "dot": "\u0307",
}  # fmt: skip
#: commands that are read together with what stands behind them
STRUCTURES = frozenset(_words("frac dfrac tfrac sqrt sum prod partial nabla top intercal"))

#: modules whose functions are called by a dot
MODULES = frozenset(_words("np numpy jnp torch tf jax math F nn special sp autograd"))
SUBMODULES = frozenset(_words("nn functional linalg special numpy math"))
#: functions of those modules, and methods, that have another name here; the operators stand in `OPERATOR_CALLS`
FUNCTION_SPELLINGS = {
    **dict.fromkeys(("dot", "mm", "mv", "matmul"), "matmul"),
    **dict.fromkeys(("multiply", "mul"), "multiply"),
    "add": "add",
    **dict.fromkeys(("subtract", "sub"), "subtract"),
    **dict.fromkeys(("divide", "div"), "divide"),
    **dict.fromkeys(("power", "pow"), "power"),
    **dict.fromkeys(("concatenate", "concat", "vstack", "cat"), "concat"),
    **dict.fromkeys(("transpose", "t"), "transpose"),
    **dict.fromkeys(("absolute", "abs"), "abs"),
    **dict.fromkeys(("sigmoid", "expit"), "sigmoid"),
    **{name: name for name in _words(_SAME)},
}
#: calls that are operators
OPERATOR_CALLS = {"matmul": "@", "multiply": "*", "add": "+", "subtract": "-", "divide": "/", "power": "**"}
ATTRIBUTES = frozenset(FUNCTION_SPELLINGS) | SUBMODULES
