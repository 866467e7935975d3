"""Two runs or two models side by side: what differs, what follows, and what is only spelling."""
