"""Adversarial training: objectives, penalties, the game of two networks, what theory says of its state."""
