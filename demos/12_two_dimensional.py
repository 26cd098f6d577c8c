"""Which pixels does an output see? Four sweeps across an image, from its four corners.

    python demos/12_two_dimensional.py [folder]

One direction carries to each place what lies on its own side of it; the four together bring the whole image. One learns
to ask a network what it sees: the gradient of one output by every pixel. Nothing needs to be trained for that.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import heatmap, nn, write

ROWS, COLUMNS, H = 7, 9, 5
PLACE = (3, 6)  # rows and columns are counted from 1
SHADES = " .:-=+*#%@"


def seen(output, image):
    """How strongly each pixel acts on this output."""
    return np.linalg.norm(tg.gradients(np.sum(output), [image])[0], axis=-1)


def show(strength) -> str:
    scaled = strength / strength.max()
    shade = np.where(strength > 0, np.clip(np.ceil(9 + 4 * np.log10(scaled + 1e-9)), 1, 9), 0).astype(int)
    return "\n".join("   " + " ".join(SHADES[k] for k in row) for row in shade)


def main(folder: Path) -> None:
    rng = nn.manual_seed(0)
    image = tg.tensor(rng.normal(size=(ROWS, COLUMNS, 1)), name="x")
    output, _ = nn.RNN2d(1, H)(image)
    here = output[PLACE[0] - 1, PLACE[1] - 1]
    names = ("upper left", "upper right", "lower left", "lower right")
    for k, corner in enumerate(names):
        strength = seen(here[k * H : (k + 1) * H], image)
        print(f"from the {corner}: place {PLACE} sees {np.count_nonzero(strength)} of {ROWS * COLUMNS} pixels")
        print(show(strength))
    strength = seen(here, image)
    print(f"all four: {np.count_nonzero(strength)} of {ROWS * COLUMNS} pixels,", end=" ")
    print(f"the one it stands on {strength[2, 5] / strength.mean():.0f} times as strongly as the mean")
    print(show(strength))

    folder.mkdir(parents=True, exist_ok=True)
    write(heatmap(strength, title=f"what place {PLACE} sees", axes=("row", "column")), folder / "seen.svg")
    small, _ = nn.RNN2d(1, H)(image.value[:2, :2])
    write(small, folder / "two-dimensional.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
