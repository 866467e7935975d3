"""From the user's file to batches: read, encode as the family does, count, collate."""
