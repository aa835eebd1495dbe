"""Adversarial training: objectives, penalties, the game of two networks, and what theory says about its state."""
