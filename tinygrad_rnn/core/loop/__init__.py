"""A recurrence found in an unfolded graph: its steps compared, folded into one, and unfolded to any length."""
