"""Where time and memory go: explain, bench, doctor."""
