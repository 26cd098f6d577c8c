"""A function recorded on short sequences, and the program over all steps that it was a case of."""
