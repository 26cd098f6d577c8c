"""Logic read along its parse tree, and formulas larger than any in the training.

    python demos/21_treelstm.py [folder]

A formula such as (or ((and (1 0)) 1)) is a tree; the network merges it from the leaves up, with a forget gate for each
child. One learns how trees are given (as text), and that a network whose steps follow the structure has to learn no
more than what "and" and "or" do.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train, write

WORDS = ["0", "1", "and", "or"]


def formula(rng, depth):
    """A formula as text, and its value."""
    if not depth:
        return [("0", 0), ("1", 1)][rng.integers(2)]
    (left, a), (right, b) = formula(rng, depth - 1), formula(rng, rng.integers(depth))
    word = WORDS[rng.integers(2, 4)]
    return f"({word} ({left} {right}))", a & b if word == "and" else a | b


def read(net, text):
    words = text.replace("(", " ").replace(")", " ").split()
    return net(np.eye(len(WORDS))[[WORDS.index(word) for word in words]], nn.parse_tree(text))


def right(net, examples) -> float:
    with tg.no_grad():
        return np.mean([(read(net, text).numpy()[0] > 0) == value for text, value in examples])


def main(folder: Path) -> None:
    rng, net = nn.manual_seed(0), nn.TreeLSTM(len(WORDS), 10, output_size=1)
    optimizer = train.Adam(net.parameters(), lr=0.02)
    for _ in range(200):
        examples = [formula(rng, rng.integers(1, 3)) for _ in range(4)]
        z = np.concatenate([read(net, text) for text, _ in examples])
        loss = nn.binary_cross_entropy_with_logits(z, np.array([float(value) for _, value in examples]))
        optimizer.step(tg.gradients(loss, optimizer.parameters))

    print("trained on formulas one or two deep")
    for depth in (2, 3, 4):
        print(f"{depth} deep: {right(net, [formula(rng, depth) for _ in range(60)]):4.0%} right")

    folder.mkdir(parents=True, exist_ok=True)
    write(read(net, "(and (1 0))"), folder / "treelstm.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
