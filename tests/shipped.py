"""The shipped models by what can be done with them, for the tests that run over all of them."""

from __future__ import annotations

from functools import cache

import tinygrad_rnn as tg
from tinygrad_rnn.models import names, resolve

#: unfolded graphs that are not one step repeated
NOT_FOLDED = {"clockwork", "attention", "attention_dot", "recursive", "treelstm", "two_dimensional", "memory_network"}
#: so many equations or steps that once is enough
LARGE = {"ntm", "two_dimensional", "attention", "attention_dot", "memory_network", "treelstm"}

FOLDED = [name for name in names() if name not in NOT_FOLDED]
SMALL = [name for name in names() if name not in LARGE]


@cache
def shipped(name: str) -> tg.Model:
    """A shipped model, loaded once."""
    return tg.load(resolve(name))


@cache
def verified(name: str) -> tg.Report:
    """What is said of a shipped model's published derivation, with one probe: read it, do not change it."""
    return tg.verify(shipped(name), seeds=1)
