"""A wall in the loss, and three ways not to be thrown off it.

    python demos/32_cliffs.py [folder]

x[t] = w σ(x[t-1]) + b over fifty steps has two parameters, and the best of them lie at the foot of a wall, where the
gradient is a thousand times longer than around. One learns what one step there does to plain gradient descent, and what
becomes of it when long gradients are clipped, by norm or by value, or replaced by a random direction.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train, write
from tinygrad_rnn.train import clip

T, LONGEST = 50, 0.3
RULES = {
    "not clipped": None,
    "by norm": clip.by_norm(LONGEST),
    "by value": clip.by_value(LONGEST),
    "random direction": clip.by_random_direction(LONGEST),
}


def loss_of(w, b, steps):
    x = 0.5
    for _ in tg.steps(1, steps + 1):
        x = tg.name("x", w * tg.sigmoid(x) + b)
    return tg.name("L", (tg.sigmoid(x) - 0.7) ** 2)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for called, rule in RULES.items():
        nn.manual_seed(0)
        w, b = tg.tensor(5.0, name="w"), tg.tensor(-2.3, name="b")
        optimizer = train.SGD([w, b], lr=0.1)
        losses, longest = [], 0.0
        for _ in range(400):
            L = loss_of(w, b, T)
            gradients = tg.gradients(L, [w, b])
            losses.append(L.item())
            longest = max(longest, float(np.hypot(*gradients)))
            optimizer.step(rule(gradients)[0] if rule else gradients)
        print(f"{called:17} longest gradient {longest:5.0f}, best loss {min(losses):.0e}, at the end", end=" ")
        print(f"{np.mean(losses[-100:]):.3f} (mean of 100) at w = {w.item():.1f}, b = {b.item():.1f}")
    write(loss_of(w, b, 3), folder / "cliffs.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
