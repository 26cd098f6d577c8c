"""The gallery: from one list of systems to a table, a page and its pictures.

`systems.toml` is the only place to edit; `python -m docs.gallery.build` writes the rest again.
"""
