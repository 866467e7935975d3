"""What can be set: each concept declared once, typed, with its words in English and Chinese."""
