"""A layout as SVG, as a graphviz document, and as a file."""
