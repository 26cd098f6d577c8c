"""Equation files read by a small reader of the soak's own: enough of the language for its corpora."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from benchmarks.soak.forms import Equation, Form, Index, Over, Test, num, ref, time

HEADERS = ("model", "source", "sizes", "indices", "inputs", "fixed", "bounds", "given", "labels", "vectors", "batch")
_TOKEN = re.compile(r"\s*(\d+\.\d+|\.\d+|\d+|[^\W\d][\w\u0300-\u036f]*'?|\.T\b|\.\.|\*\*|<=|>=|!=|[-+*/@()\[\],;<>=%])")
_BINDS = {"+": 1, "-": 1, "*": 2, "/": 2, "@": 2, "**": 4}
_RELATIONS = ("<", "<=", ">", ">=", "=", "!=")
_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


class Unread(Exception):
    """The file uses what this reader does not know."""


@dataclass
class File:
    """An equation file: headers, ranges of the indices, forward equations, gradients."""

    headers: dict[str, str] = field(default_factory=dict)
    ranges: dict[str, tuple[Index, Index]] = field(default_factory=dict)
    forward: list[Equation] = field(default_factory=list)
    gradients: list[Equation] = field(default_factory=list)

    @property
    def lengths(self) -> list[str]:
        """The names of its lengths, T first."""
        names = [name for pair in self.ranges.values() for index in pair for name in index.names]
        return sorted(dict.fromkeys(names), key=lambda name: name != "T")

    @property
    def defined(self) -> set[str]:
        return {equation.name for equation in self.forward}

    def text(self) -> str:
        """The file as it is written, one equation a line."""
        head = [f"{key}: {value}" for key, value in self.headers.items() if value]
        lines = [*head, *map(str, self.forward)]
        if self.gradients:
            lines += ["gradients:", *map(str, self.gradients)]
        return "\n".join(lines) + "\n"

    def with_gradients(self, gradients: list[Equation]) -> File:
        return replace(self, gradients=gradients)


def read(text: str) -> File:
    """A file from its text; raises `Unread` for what is beyond this reader."""
    file, section = File(), "forward"
    lines = list(_logical_lines(text))
    for _, line in lines:
        key, colon, value = line.partition(":")
        if colon and key.strip() in HEADERS:
            file.headers[key.strip()] = value.strip()
    file.ranges = _ranges(file.headers.get("indices", ""))
    for at, line in lines:
        key, colon, _ = line.partition(":")
        if line.strip() == "gradients:":
            section = "gradients"
        elif not (colon and key.strip() in HEADERS):
            getattr(file, section).append(read_equation(line, file, at))
    return file


def read_equation(line: str, file: File, at: int = 0) -> Equation:
    """One equation of a file."""
    body, _, condition = line.partition(" for ")
    left, _, right = body.partition("=")
    match = re.fullmatch(r"\s*([\w\u0300-\u036f]+)\s*(?:\[(.*)\])?\s*", left)
    if match is None:
        raise Unread(line)
    indices = tuple(Index.read(part) for part in match[2].split(",")) if match[2] else ()
    running = tuple(dict.fromkeys(n for index in indices for n in index.running))
    tests: tuple[Test, ...] = ()
    if condition.strip():
        tests = _Reader(condition, file, running).condition()[1]
    return Equation(match[1], indices, _Reader(right, file, running).whole(), tests, at)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    held, start = "", 0
    lines = [line.split("#")[0].rstrip() for line in text.splitlines()]
    for at, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        continues = held and (
            held.count("(") + held.count("[") > held.count(")") + held.count("]")
            or re.search(r"[-+*/@=]$", held)
            or re.match(r"\s*[-+*/@]", line)
        )
        if continues:
            held += " " + line.strip()
            continue
        if held:
            yield start, held
        held, start = line.strip(), at
    if held:
        yield start, held


def _ranges(said: str) -> dict[str, tuple[Index, Index]]:
    if not said:
        return {"t": (Index.read("1"), Index.read("T"))}
    ranges = {}
    for part in said.split(","):
        name, _, bounds = part.partition("=")
        low, _, high = bounds.partition("..")
        ranges[name.strip()] = (Index.read(low), Index.read(high))
    return ranges


class _Reader:
    """Precedence climbing over the tokens of one formula or condition."""

    def __init__(self, text: str, file: File, bound: tuple[str, ...]) -> None:
        self.tokens, at = [], 0
        text = text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise Unread(text[at:])
            self.tokens.append(match[1])
            at = match.end()
        self.at, self.file, self.bound = 0, file, bound

    def peek(self, ahead: int = 0) -> str:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if wanted and token != wanted:
            raise Unread(f"{wanted} expected, not {token!r}, in {' '.join(self.tokens)}")
        self.at += 1
        return token

    def whole(self) -> Form:
        form = self.formula(0)
        if self.peek():
            raise Unread(" ".join(self.tokens))
        return form

    def formula(self, least: int) -> Form:
        if self.peek() in ("+", "-"):
            sign = self.take()
            form = self.formula(3)
            if sign == "-":
                form = Form("neg", (form,))
        else:
            form = self.postfix(self.atom())
        while self.peek() in _BINDS and _BINDS[self.peek()] >= least:
            op = self.take()
            # a power binds to the right, all else to the left
            form = Form(op, (form, self.formula(3 if op == "**" else _BINDS[op] + 1)))
        return form

    def postfix(self, form: Form) -> Form:
        while self.peek() == ".T":
            self.take()
            form = Form(".T", (form,))
        return form

    def atom(self) -> Form:
        token = self.take()
        if token == "(":
            form = self.formula(0)
            self.take(")")
            return form
        if token == "[":
            parts = [self.formula(0)]
            while self.peek() in (";", ","):
                self.take()
                parts.append(self.formula(0))
            self.take("]")
            return Form("stack", tuple(parts))
        if token[:1].isdigit() or token.startswith("."):
            return num(float(token) if "." in token else int(token))
        if not re.match(r"[^\W\d]", token):
            raise Unread(f"{token!r} in {' '.join(self.tokens)}")
        if self.peek() == "(":
            return self.called(token)
        if self.peek() == "[":
            self.take()
            indices = [self.index()]
            while self.peek() == ",":
                self.take()
                indices.append(self.index())
            self.take("]")
            return ref(token, *indices)
        if token in self.file.ranges or token in self.bound or token in self.file.lengths:
            return time(token)
        return ref(token)

    def index(self) -> Index:
        said = ""
        while self.peek() and self.peek() not in (",", "]", "<", "<=", ">", ">=", "=", "!=", "..", "%", "and", ")"):
            said += self.take()
        return Index.read(said)

    def called(self, name: str) -> Form:
        self.take("(")
        if name in ("sum", "mean", "prod") and self._has_condition():
            variable, tests = self.condition()
            self.take(",")
            outer, self.bound = self.bound, (*self.bound, variable)
            body = self.formula(0)
            self.bound = outer
            self.take(")")
            return Form("over", (body,), Over(name, variable, tests))
        args = [self.formula(0)]
        while self.peek() == ",":
            self.take()
            args.append(self.formula(0))
        self.take(")")
        return Form("call", tuple(args), name)

    def _has_condition(self) -> bool:
        depth = 0
        for token in self.tokens[self.at :]:
            if token == "," and depth == 0:
                return True
            depth += (token in ("(", "[")) - (token in (")", "]"))
            if depth < 0:
                return False
        return False

    def condition(self) -> tuple[str, tuple[Test, ...]]:
        """`t`, `t < T`, `1 < t < T`, `t = 1..T-1`, `t % 2 = 0`, and several with `and`."""
        tests: list[Test] = []
        names: list[str] = []
        while True:
            left = self.index()
            names += left.running
            modulus = 0
            if self.peek() == "%":
                self.take()
                modulus = int(self.take())
            while self.peek() in _RELATIONS or self.peek() == "in":
                relation = self.take().replace("in", "=")
                right = self.index()
                names += right.running
                if self.peek() == "..":
                    self.take()
                    tests += [Test(left, ">=", right), Test(left, "<=", self.index())]
                else:
                    tests.append(Test(left, relation, right, modulus))
                left = right
            if self.peek() != "and":
                break
            self.take()
        fresh = [name for name in names if name not in self.bound]
        variable = (fresh or names or ["t"])[0]
        return variable, tuple(_turned(test, variable) for test in tests)


def _turned(test: Test, variable: str) -> Test:
    """The variable on the left, as the language prints it."""
    if variable in test.right.names and variable not in test.left.names:
        return Test(test.right, _MIRROR[test.relation], test.left)
    return test
