"""How a name reads in mathematics: `Gamma_u` is Γ with u below, `h1` is h with 1 below, `c̃'` has an accent and a prime.

One table for the equations and the pictures; LaTeX, MathML and labels only put the parts into their own markup.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_SMALL = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi"
#: those of the capital letters that look like no Latin one
_CAPITAL = "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
#: the Greek letters by their names
GREEK = {
    name: unicodedata.lookup(
        f"GREEK {'CAPITAL' if name[0].isupper() else 'SMALL'} LETTER {name.upper().replace('LAMBDA', 'LAMDA')}"
    )
    for name in f"{_SMALL} omega {_CAPITAL}".split()
}
#: combining characters that are accents of a symbol: tilde, hat, bar, dot
ACCENTS = "\u0303\u0302\u0304\u0307"
#: below a letter, xi is x and i: W_xi goes from x to the gate i; longer names are Greek letters there as well
SHORTEST_BELOW = 3
#: a letter or two, or the name of a Greek letter, with anything behind `_` or a number; a word with a short index
_INDEXED = re.compile(
    r"((?:[^\W\d_][\u0302\u0303\u0304\u0307]*){1,2}|"
    + "|".join(GREEK)
    + r")(?:_(\w+)|(\d{1,3})(?:_(\w+))?)|([^\W\d_]{3,8})_(\w{1,2})"
)


@dataclass(frozen=True, slots=True)
class NameParts:
    """The parts of a name: the letters on the line (Greek ones as such), accents and primes on them, what is below."""

    base: str
    below: str = ""
    accents: str = ""
    primes: int = 0


def name_parts(name: str) -> NameParts:
    """The parts of a name; what is no letter with an index stays as it is.

    A last underscore, which keeps a name apart from a word of Python (`lambda_`), is left out.

    >>> name_parts("Gamma_u"), name_parts("alpha2").below, name_parts("hidden_state").base
    (NameParts(base='Γ', below='u', accents='', primes=0), '2', 'hidden_state')
    """
    plain = name.rstrip("'")
    letters, lowered = "", ""
    for char in unicodedata.normalize("NFD", plain):
        if unicodedata.decomposition(char).startswith("<sub>"):
            lowered += unicodedata.normalize("NFKC", char)
        else:
            letters += char
    if len(letters) > 1 and letters.isidentifier():
        letters = letters.removesuffix("_") or letters
    found = _INDEXED.fullmatch(letters)
    below = ""
    if found:
        letters = found[1] or found[5]
        below = ",".join(filter(None, (found[2], found[3], found[4], found[6])))
    base = letters.rstrip(ACCENTS)
    base, accents = (base, letters[len(base) :]) if base else (letters, "")
    lowered += GREEK.get(below, below) if len(below) >= SHORTEST_BELOW else below
    return NameParts(unicodedata.normalize("NFC", GREEK.get(base, base)), lowered, accents, len(name) - len(plain))
