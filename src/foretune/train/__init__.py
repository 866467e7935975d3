"""The run itself: forecast, training loop, checkpoints, report."""
