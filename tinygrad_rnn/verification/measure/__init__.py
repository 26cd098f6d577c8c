"""What a verdict is measured with: random runs, true gradients, and how large rounding can be."""
