"""Random recurrent loops: what `tg.compile` computes against what eager code does, in values and gradients."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from benchmarks.soak import scripts
from benchmarks.soak.judging import Tally
from benchmarks.soak.loop_writer import Writer

LENGTHS = (1, 2, 3, 4, 5, 7, 10, 11, 12, 17, 33, 50)
#: steps of a tile: None for as many as suit the sizes
CHUNKS = (None, 1, 2, 3, 7)
#: how many of the loops run as machine code, which takes seconds to make
MACHINE_CODE = 0.04
HEAD = '''"""Random loop {seed}: compiled against eager."""

import numpy as np

import tinygrad_rnn as tg

'''
ARGUMENTS = {
    "x": "rng.normal(size=(T, B, {inputs})).astype(dtype)",
    "m": "(rng.random((T, B)) < 0.6).astype(dtype)",
    "ids": "rng.integers(0, 5, (T, B))",
    "k": "round(rng.uniform(0.2, 0.9), 2)",
    "y": "rng.integers(0, 4, (T, B))",
}
MAIN = """
dtype = np.{dtype}
eager = {derivative}
fast = tg.compile(eager, {options})
fast.chunk = {chunk}
for T, B in {calls}:
    args = arguments(T, B, dtype)
    if (T, B) == {last}:
        {change}
    print(T, B, fast(*args), eager(*args), fast.forms)
"""
DERIVATIVES = (
    "tg.value_and_grad(loss)",
    "tg.value_and_grad(loss)",
    "tg.value_and_grad(loss)",
    "tg.value_and_grad(loss, argnums=(0, 1))",
    "tg.grad(loss)",
    "loss",
)


class Loop:
    """A random loop: its script without and with the calls to make; `small`: one whose machine code is made soon."""

    def __init__(self, seed: str, executor: str | None = None, small: bool = False):
        rng = Random(f"loop-{seed}")
        writer = Writer(rng, small)
        function = writer.function()
        self.seed, self.dtype = seed, rng.choice(("float64", "float64", "float32"))
        self.executor = executor or ("jit" if rng.random() < MACHINE_CODE else "numpy")
        lengths = [T for T in LENGTHS if T > 1 or not writer.predicts]
        self.calls = [(rng.choice(lengths), rng.choice((1, 2, 2, 3))) for _ in range(3)]
        if small:  # another batch is another program
            self.calls = [(T, self.calls[0][1]) for T, _ in self.calls]
        if rng.random() < 0.03:
            self.calls[1] = (300, 1)
        self.derivative = rng.choice(DERIVATIVES)
        self.options: dict[str, Any] = {"executor": self.executor}
        if self.executor == "numpy" and rng.random() < 0.08:
            self.options["checkpoint"] = rng.choice(("sqrt", 3))
        self.chunk = rng.choice(CHUNKS[1:] if small else CHUNKS)
        #: a global that has another value in the last call
        self.change = ""
        if writer.scales and not small and rng.random() < 0.5:
            self.change = f"SCALE{rng.randint(1, len(writer.scales))}"
        if not writer.parameters:
            writer.parameters["a"] = (writer.width,)
        scales = "".join(f"SCALE{n + 1} = {value}\n" for n, value in enumerate(writer.scales))
        shapes = ", ".join(f'"{name}": {shape}' for name, shape in sorted(writer.parameters.items()))
        values = ", ".join(ARGUMENTS[kind].format(inputs=writer.inputs) for kind in writer.arguments)
        self.text = (
            HEAD.format(seed=seed)
            + (scales + "\n\n" if scales else "")
            + function
            + f"""


def arguments(T, B, dtype):
    rng = np.random.default_rng(T + 100 * B)
    shapes = {{{shapes}}}
    p = {{name: (0.5 * rng.normal(size=shape)).astype(dtype) for name, shape in shapes.items()}}
    return p, {values}
"""
        )

    def script(self) -> str:
        """The whole as it can be run by hand."""
        return self.text + MAIN.format(
            dtype=self.dtype,
            derivative=self.derivative,
            options=", ".join(f"{key}={value!r}" for key, value in self.options.items()),
            chunk=self.chunk,
            calls=self.calls,
            last=self.calls[-1],
            change=f"{self.change} = 2.0 * {self.change}" if self.change else "pass",
        )

    def differentiated(self, made: Any) -> Any:
        """What is compiled."""
        if self.derivative == "loss":
            return made.loss
        if self.derivative == "tg.grad(loss)":
            return tg.grad(made.loss)
        return (
            tg.value_and_grad(made.loss, argnums=(0, 1))
            if "argnums" in self.derivative
            else tg.value_and_grad(made.loss)
        )


def compare(seed: str, tally: Tally, executor: str | None = None) -> None:
    """One loop, called at several lengths and batch sizes."""
    compare_loop(Loop(seed, executor), tally)


def compare_jitted(seed: str, tally: Tally) -> None:
    """A small loop as machine code, with tiles of few steps."""
    compare_loop(Loop(seed, "jit", small=True), tally)


def compare_loop(loop: Loop, tally: Tally) -> None:
    """What a loop gives compiled and eager, at several lengths and batch sizes."""
    seed = loop.seed
    made = scripts.module(loop.text)
    dtype = np.dtype(loop.dtype)
    differentiated = loop.differentiated(made)
    fast = tg.compile(differentiated, **loop.options)
    fast.chunk = loop.chunk
    title = f"{loop.executor} {loop.dtype}"
    for number, (T, B) in enumerate(loop.calls):
        args = made.arguments(T, B, dtype)
        if loop.change and number == len(loop.calls) - 1:
            setattr(made, loop.change, 2.0 * getattr(made, loop.change))
        try:
            eager = differentiated(*args)
        except tg.TinygradError as error:
            tally.count(title, "eager refuses")
            tally.note("eager refuses", seed, f"{type(error).__name__}: {error}", loop.script())
            return
        except Exception as error:
            tally.count(title, "eager error")
            tally.find("eager error", seed, f"{type(error).__name__}: {error}", loop.script())
            return
        double = [_double(a) for a in args]
        right = eager if dtype == np.float64 else differentiated(*double)

        def moved(draw: int, double: list[Any] = double) -> Any:
            return differentiated(*[_noisy(a, np.random.default_rng(draw)) for a in double])

        try:
            got = fast(*args)
        except tg.TinygradError as error:
            tally.count(title, "refused")
            tally.count(f"refused: {scripts.reason(error)}", "refused")
            tally.note("refused", seed, f"{type(error).__name__}: {error}", loop.script())
            return
        except Exception as error:
            tally.count(title, "error")
            tally.find("raw error", seed, f"T={T} B={B}: {type(error).__name__}: {error}", loop.script())
            return
        thrown = [told for told in fast.forms if "the compiler fails" in told or told.endswith("of the function)")]
        if thrown:  # what was given is right, but not by the form that was made for it
            tally.find("a form is thrown away", seed, f"T={T} B={B} {title}: {thrown[0]}", loop.script())
        said = scripts.verdict(got, right, moved, float(np.finfo(dtype).eps))
        form = fast.forms[-1].split(" ")[0] if fast.forms else "none"
        if said == "ill":
            tally.count(title, "ill")
        elif said:
            tally.count(title, "DISAGREE")
            tally.find(f"compiled is wrong ({form})", seed, f"T={T} B={B} {title}: {said}", loop.script())
            return
        else:
            tally.count(title, form)


def _double(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _double(part) for key, part in value.items()}
    return value.astype(np.float64) if getattr(value, "dtype", np.dtype(int)).kind == "f" else value


def _noisy(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, dict):
        return {key: _noisy(part, rng) for key, part in value.items()}
    if getattr(value, "dtype", np.dtype(int)).kind != "f":
        return value
    return value * (1.0 + scripts.NOISE * rng.uniform(-1.0, 1.0, value.shape))
