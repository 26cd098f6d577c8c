"""From a program to a plan: stages of instructions on named buffers."""
