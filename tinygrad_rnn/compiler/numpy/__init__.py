"""A plan carried out by numpy calls that write into memory already there."""
