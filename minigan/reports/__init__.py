"""What a finished run shows: its page, its files, its networks for other programs."""
