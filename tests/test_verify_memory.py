"""What a verdict was made from is gone with it: nothing is left to the cycle collector."""

import gc

import pytest

import tinygrad_rnn as tg


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru", "delay"])
def test_verify_leaves_nothing_to_the_cycle_collector(name: str) -> None:
    text = tg.load(name).document.source.text
    tg.verify(text)  # what is kept from call to call is made now
    gc.collect()
    gc.disable()
    try:
        tg.verify(text)
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.slow
def test_what_the_prover_no_longer_keeps_is_gone_as_well() -> None:
    texts = [
        f"sizes: h = {n}\nh[t] = tanh(W @ h[t-1])\nL = sum(t, dot(h[t], h[t]) / 2)\ngradients:\ndL = 1\n"
        for n in range(2, 5)
    ]
    texts = [text + "dh[t] = h[t] + W.T @ (dh[t+1] * (1 - h[t+1]**2))\n" for text in texts]
    for n in range(20):
        tg.verify(texts[n % 3] + f"# {n}\n")
    gc.collect()
    gc.disable()
    try:
        tg.verify(texts[0] + "# another\n")
        assert gc.collect() == 0
    finally:
        gc.enable()
