"""The one generator that initial weights, dropout and sampling draw from, as torch has one.

Seed it once and everything that follows repeats; its state goes into a checkpoint, so that a resumed run draws what the
uninterrupted one would have drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiler.trace.guard import refuse_while_recorded

_generator = np.random.default_rng()


def generator() -> np.random.Generator:
    """The generator itself, to draw from now; raises `CompileError` while `tg.compile` records a function."""
    refuse_while_recorded("draws random numbers", "call model.eval(), give what is drawn as an argument")
    return _generator


def manual_seed(seed: int) -> np.random.Generator:
    """Start again from a seed, and return the generator.

    >>> from tinygrad_rnn import nn
    >>> a = nn.manual_seed(3).normal()
    >>> a == nn.manual_seed(3).normal()
    True
    """
    _generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state
    return _generator


def get_rng_state() -> dict[str, Any]:
    """The state, as a dict of plain numbers and strings that JSON can hold."""
    return dict(_generator.bit_generator.state)


def set_rng_state(state: dict[str, Any]) -> None:
    """Go back to a state that `get_rng_state` gave."""
    _generator.bit_generator.state = state
