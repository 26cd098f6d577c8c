"""How slow is it? Leaky units find out the time constants of a system from watching it.

    python demos/16_leaky.py [folder]

Three units with the time constants 2, 5 and 20 answer to a signal. A copy of them, whose constants all start at 10, is
trained to answer alike. One learns that tau (and alpha = 1 - 1/tau) is a parameter like any other: with the right
gradient, what is found is not some fit but the true numbers.
"""

import sys
from pathlib import Path

from tinygrad_rnn import nn, train, write

T, B, TRUE = 40, 8, (2.0, 5.0, 20.0)


def leaky_units(tau):
    return nn.Recurrent(lambda n: nn.TauCell(n, 3, tau=tau), 2)


def main(folder: Path) -> None:
    rng = nn.manual_seed(0)
    system, copy = leaky_units(TRUE), leaky_units([10.0, 10.0, 10.0])
    for own, theirs in zip(copy.parameters(), system.parameters(), strict=True):
        if own.name != "tau":
            own.assign(theirs.numpy())
    tau = copy.cells[0].tau
    optimizer = train.Adam([tau], lr=0.3)
    for update in range(201):
        x = 3.0 * rng.normal(size=(T, B, 2))
        loss = nn.mse_loss(copy(x)[0], system(x)[0].numpy())
        if update % 50 == 0:
            print(f"after {update:3} updates   loss {loss.item():.1e}   tau", *(f"{t:7.3f}" for t in tau.numpy()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    folder.mkdir(parents=True, exist_ok=True)
    h, _ = nn.Recurrent(lambda n: nn.LeakyCell(n, 3, alpha=0.9), 2)(x[:3, 0])
    write(h, folder / "leaky.svg", level="named")
    write(copy(x[:3, 0])[0], folder / "leaky-tau.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
