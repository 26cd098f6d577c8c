"""From a program to the same program with less work, each step a pass of its own."""
