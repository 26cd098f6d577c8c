"""Judge derivations and gradients against the engine, and the engine against the complex step."""
