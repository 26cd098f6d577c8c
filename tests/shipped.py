"""The shipped models by what can be done with them, for the tests that run over all of them."""

from __future__ import annotations

from tinygrad_rnn.models import names

#: verified, but without a derivation in textbook form: two indices, trees, steps that differ, parts of columns
NOT_DERIVED = {
    *("clockwork", "encoder_decoder", "encoder_decoder_initial", "encoder_decoder_both", "attention", "attention_dot"),
    *("recursive", "treelstm", "two_dimensional", "memory_network", "ntm"),
}
#: unfolded graphs that are not one step repeated
NOT_FOLDED = {"clockwork", "attention", "attention_dot", "recursive", "treelstm", "two_dimensional", "memory_network"}
#: so many equations or steps that once is enough
LARGE = {"ntm", "two_dimensional", "attention", "attention_dot", "memory_network", "treelstm"}

DERIVED = [name for name in names() if name not in NOT_DERIVED]
FOLDED = [name for name in names() if name not in NOT_FOLDED]
SMALL = [name for name in names() if name not in LARGE]
