"""What is drawn: which nodes at which level, what part each plays, what it is called."""
