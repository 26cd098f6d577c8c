"""Reading: from the text of a document to trees of notation."""
