"""What a run will cost, from its files alone."""
