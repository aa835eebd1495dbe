"""Measurements: each module is a command that prints its table and, with --write, keeps it in results/."""
