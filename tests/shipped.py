"""The shipped models by what can be done with them, for the tests that run over all of them."""

from __future__ import annotations

from tinygrad_rnn.models import names

#: unfolded graphs that are not one step repeated
NOT_FOLDED = {"clockwork", "attention", "attention_dot", "recursive", "treelstm", "two_dimensional", "memory_network"}
#: so many equations or steps that once is enough
LARGE = {"ntm", "two_dimensional", "attention", "attention_dot", "memory_network", "treelstm"}

FOLDED = [name for name in names() if name not in NOT_FOLDED]
SMALL = [name for name in names() if name not in LARGE]
