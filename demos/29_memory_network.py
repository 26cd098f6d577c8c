"""Where is the ball? Ann has it, and Ann is in the kitchen: questions that need two facts.

    python demos/29_memory_network.py [folder]

The memory holds facts in any order, "x has y" or "x is in y". The first reading finds who has the thing, the second
where that person is. One learns what it is worth to be told, in training, which facts were needed: answers alone are
enough in the end, since addresses are soft and gradients go through them, but it takes longer.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train, write

N, B = 4, 32  # things, people and places; questions at once
ONE = np.eye(3 * N)


def stories(rng):
    """Questions x, facts m, answers y, and q: the two facts that are needed, in the order of the readings."""
    x, m, y, q = np.zeros((B, 3 * N)), np.zeros((2 * N, B, 6 * N)), np.zeros(B, int), np.zeros((2, 2 * N, B))
    for b in range(B):
        holder, place, order = rng.integers(N, size=N), rng.integers(N, size=N), rng.permutation(2 * N)
        facts = [(thing, N + holder[thing]) for thing in range(N)] + [(N + who, 2 * N + place[who]) for who in range(N)]
        for cell, (subject, what) in zip(order, facts, strict=True):
            m[cell, b] = np.concatenate([ONE[subject], ONE[what]])
        thing = rng.integers(N)
        x[b], y[b] = ONE[thing], place[holder[thing]]
        q[0, order[thing], b] = q[1, order[N + holder[thing]], b] = 1.0
    return x, m, y, q


def main(folder: Path) -> None:
    for told in (False, True):
        print("told which facts" if told else "answers alone   ", end="")
        rng = nn.manual_seed(0)
        net = nn.MemoryNetwork(3 * N, 6 * N, hidden_size=24, output_size=N, hops=2)
        optimizer = train.Adam(net.parameters(), lr=0.02)
        for update in range(1, 101):
            x, m, y, q = stories(rng)
            optimizer.step(tg.gradients(np.mean(net.loss(x, m, y, q if told else None)), optimizer.parameters))
            if update in (25, 50, 100):
                o, p = net(x, m)
                right = np.mean(np.argmax(o.numpy(), axis=-1) == y)
                found = np.mean(np.argmax(p.numpy(), axis=1) == np.argmax(q, axis=1))
                print(f"  after {update:3}: {right:4.0%} right, {found:4.0%} of the facts found", end="")
        print()
    folder.mkdir(parents=True, exist_ok=True)
    L = tg.name("L", net.loss(x[0], m[:3, 0], y[0], q[:, :3, 0]))
    write(L, folder / "memory-network.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
