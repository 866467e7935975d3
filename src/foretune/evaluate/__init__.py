"""What a model generates, and how it is scored."""
