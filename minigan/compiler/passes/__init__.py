"""Rewrites of a graph: each a function from one graph to another."""
