"""From characters to a document of equations: tokens, headers, right-hand sides, places for errors."""
