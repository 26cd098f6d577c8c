"""Pages to read, and the programs that write some of them."""
