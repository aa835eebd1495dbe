"""Measurements: each module is a command that prints its table and writes a JSON file under bench/results/."""
