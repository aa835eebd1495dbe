"""What a run leaves on disk, and how it survives crashes: files, the run directory, checkpoints.

Here belongs every write to a run, and every read of its files, which may come from anyone. Not here: what the
numbers in them mean; storage knows nothing of networks and games.
"""
