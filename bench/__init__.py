"""Measurements: each module is a command that prints its table and writes JSON under bench/results/."""
