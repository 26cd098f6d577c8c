"""Lecture notes as they are: read a document, find its models and claims, and judge every equation in it."""
