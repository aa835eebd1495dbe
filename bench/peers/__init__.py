"""The same GAN step in minigan, by hand, and in other libraries, timed in turns."""
