"""A run: its configuration, its data, its draws, and the loop."""
