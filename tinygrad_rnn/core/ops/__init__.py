"""The tables of primitives, and numpy's other functions composed of them."""
