"""Environments and rows of LaTeX: what stands on a line of its own, and in which column."""

from __future__ import annotations

from collections.abc import Sequence

from .latex_tokens import LatexToken, Unread, flat, group

#: environments whose rows are statements of their own, joined by columns right and left of the relation
ALIGNED = {
    "align", "aligned", "alignat", "alignedat", "flalign", "eqnarray", "split", "gather", "gathered", "multline",
    "multlined", "equation", "displaymath", "math", "subequations", "dcases*", "IEEEeqnarray", "darray",
}  # fmt: skip
#: commands that set nothing to be read: with the number of arguments that go with them
SILENT = {
    "\\label": 1, "\\tag": 1, "\\tag*": 1, "\\nonumber": 0, "\\notag": 0, "\\eqref": 1, "\\ref": 1, "\\hline": 0,
    "\\cline": 1, "\\displaystyle": 0, "\\textstyle": 0, "\\scriptstyle": 0, "\\limits": 0, "\\nolimits": 0,
    "\\hspace": 1, "\\hspace*": 1, "\\vspace": 1, "\\color": 1, "\\phantom": 1, "\\hphantom": 1, "\\vphantom": 1,
    "\\newline": 0, "\\hfill": 0, "\\hfil": 0, "\\vec": 0, "\\mathop": 0, "\\footnotesize": 0, "\\small": 0,
    "\\large": 0, "\\Large": 0, "\\normalsize": 0, "\\centering": 0,     "\\bf": 0, "\\rm": 0, "\\it": 0, "\\cal": 0,
    "\\left": 0, "\\right": 0, "\\middle": 0, "\\big": 0, "\\Big": 0, "\\bigg": 0, "\\Bigg": 0, "\\bigl": 0,
    "\\bigr": 0, "\\Bigl": 0, "\\Bigr": 0, "\\biggl": 0, "\\biggr": 0, "\\Biggl": 0, "\\Biggr": 0, "\\bigm": 0,
    "\\mathstrut": 0, "\\strut": 0, "\\relax": 0, "\\allowbreak": 0, "\\nobreak": 0, "\\!": 0, "\\,": 0, "\\: ": 0,
    "\\>": 0, "\\/": 0, "\\-": 0, "\\mathrel": 0, "\\mathbin": 0, "\\mathord": 0, "\\boxed": 0, "\\fbox": 0,
    "\\cancel": 0, "\\bcancel": 0, "\\footnote": 1, "\\note": 1, "\\begingroup": 0, "\\endgroup": 0, "\\noindent": 0,
    "\\par": 0, "\\cr": 0, "\\textcolor": 1, "\\colorbox": 1, "\\smash": 0, "\\rlap": 0, "\\llap": 0,
    "\\ensuremath": 0, "\\arraystretch": 0, "\\scriptscriptstyle": 0, "\\left.": 0, "\\right.": 0,
}  # fmt: skip
#: environments that say first which columns they have
WITH_COLUMNS = {"array", "tabular", "alignat", "alignedat", "IEEEeqnarray"}
#: frames round a whole statement
FRAMES = {
    "\\boxed", "\\fbox", "\\textcolor", "\\colorbox", "\\ensuremath", "\\cancel", "\\smash", "\\mathop",
}  # fmt: skip
_BREAKS = {
    "\\\\", "\\\\*", "\\newline", "\\cr", "\\tabularnewline",
}  # fmt: skip


def without_layout(source: Sequence[LatexToken]) -> list[LatexToken]:
    """The tokens without what only sets them: sizes, spaces, labels, numbers of equations."""
    kept: list[LatexToken] = []
    at = 0
    while at < len(source):
        token = source[at]
        arguments = SILENT.get(token.text) if token.kind == "command" else None
        at += 1
        if arguments is None:
            if token.text == "|" and at < len(source) and source[at].text == "|" and source[at].start == token.end:
                token, at = LatexToken("command", "\\|", token.start, source[at].end, token.spaced), at + 1
            kept.append(token)
            continue
        for _ in range(arguments):
            if at < len(source) and source[at].text == "{":
                _, at = group(source, at)
        if token.text in FRAMES and at < len(source) and source[at].text == "{":
            inside, at = group(source, at)
            kept += without_layout(inside)
        if token.text in ("\\left", "\\right") and at < len(source) and source[at].text == ".":
            at += 1
    return kept


def environment(source: Sequence[LatexToken], at: int) -> tuple[str, list[LatexToken], int]:
    """The name and the content of the environment that begins at `at`, and where it ends."""
    named, inside = group(source, at + 1)
    name = "".join(token.text for token in named)
    depth = 1
    for i in range(inside, len(source)):
        depth += {"\\begin": 1, "\\end": -1}.get(source[i].text, 0)
        if depth == 0:
            _, after = group(source, i + 1)
            return name, list(source[inside:i]), after
    raise Unread(f"the environment {name} does not end", source[at].start, source[at].end)


def is_aligned(name: str, content: Sequence[LatexToken]) -> bool:
    """Whether the rows of an environment are statements; also those of an array that holds relations, or such rows."""
    bare = name.rstrip("*")
    if bare in ALIGNED:
        return True
    return bare in ("array", "tabular") and any(
        token.text == "=" or (token.text == "\\begin" and _name_after(content, i).rstrip("*") in ALIGNED)
        for i, (depth, token) in enumerate(flat(content))
        if depth == 0
    )


def _name_after(source: Sequence[LatexToken], at: int) -> str:
    return "".join(token.text for token in group(source, at + 1)[0])


def rows(source: Sequence[LatexToken], depth: int = 0) -> list[list[list[LatexToken]]]:
    """The rows of a formula, each as its columns."""
    if depth > 8:
        raise Unread("environments stand too deep in each other", source[0].start, source[-1].end)
    made: list[list[list[LatexToken]]] = [[[]]]
    at = braces = 0
    while at < len(source):
        token = source[at]
        if token.text == "\\begin" and braces == 0:
            name, content, after = environment(source, at)
            if is_aligned(name, content):
                if name.rstrip("*") in WITH_COLUMNS and content and content[0].text == "{":
                    content = content[group(content, 0)[1] :]
                made += [*rows(content, depth + 1), [[]]]
            else:
                made[-1][-1] += source[at:after]
            at = after
            continue
        braces += {"{": 1, "}": -1}.get(token.text, 0) if token.kind == "sign" else 0
        if braces == 0 and token.text in _BREAKS:
            made.append([[]])
            if (
                at + 1 < len(source)
                and source[at + 1].text == "["
                and source[at + 2 : at + 3]
                and source[at + 2].kind == "number"
            ):
                at += next((i for i, t in enumerate(source[at:]) if t.text == "]"), 0)
        elif braces == 0 and token.text == "&":
            made[-1].append([])
        else:
            made[-1][-1].append(token)
        at += 1
    return [row for row in made if any(row)]
