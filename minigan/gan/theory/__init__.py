"""What theory says of a game: D*, the divergences it bounds, and how it moves."""
