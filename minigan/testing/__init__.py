"""Stand-ins for a GPU, so that its code runs and is checked without one."""
