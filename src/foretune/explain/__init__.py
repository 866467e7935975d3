"""Say it: what every value means, where it came from, and what it does here."""
