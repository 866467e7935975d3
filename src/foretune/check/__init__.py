"""What is wrong with a run: one rule, one function, with one run it flags and one it allows."""
