"""What was found, as data, and told in a terminal, as Markdown and as a page."""
