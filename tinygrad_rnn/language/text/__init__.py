"""Expressions and equations as text that parses back, as LaTeX and as MathML."""
