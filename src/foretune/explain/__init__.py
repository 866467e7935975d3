"""Say it: one parameter in depth, or every setting of a run with its origin."""
