"""Rewrites of a graph: each a function from one graph to another that computes the same.

What belongs here: functions of a Graph alone, and how large work is cut for caches and threads (row_blocks,
replica_groups). In which order they are applied, and which are exact, says the table in planner.py; where a
value lives and what code computes it is none of their business.
"""
