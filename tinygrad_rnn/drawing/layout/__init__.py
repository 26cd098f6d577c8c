"""Where everything stands: columns, rows, tracks of edges, and their labels."""
