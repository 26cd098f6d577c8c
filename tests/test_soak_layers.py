"""A sample of the soak's random use of layers: padding, masks and empty sequences, against torch and one by one."""

import pytest

pytest.importorskip("torch", reason="the random layers are compared with torch, which is not installed")

from benchmarks.soak import layers
from benchmarks.soak.judging import Tally

SEED = 29


@pytest.mark.slow
@pytest.mark.parametrize("block", range(2))
def test_random_layers_are_right_however_their_sequences_end(block):
    tally = Tally()
    for number in range(12 * block, 12 * block + 12):
        layers.compare(f"{SEED}-{number}", tally)
    assert not tally.findings, "\n".join(map(str, tally.findings))
