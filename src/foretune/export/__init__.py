"""``foretune export``: a model, tuned or not, in a layout that other programs load."""
