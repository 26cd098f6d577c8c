"""A typed document as a model: its unfolded graph, and the values of its gradient equations."""
