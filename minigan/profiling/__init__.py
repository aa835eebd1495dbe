"""Where time goes: what `minigan bench`, `minigan explain` and `minigan doctor` measure and find.

timing.py        how everything is timed: blocks, turns, controls, intervals
work.py          what `minigan bench` times: kinds of work, their variants
benchmark.py     how: all variants of a kind at a size, ceilings, transfers, losses
cold.py          the cold start of a process
results.py       what it found, as a file; where a GPU overtakes the CPU; one result over another
figure.py        its figure
explain.py       where the time of one training step goes; line_costs.py, what each line of its plan costs
doctor.py        what this machine offers, and what is in the way

Nothing here trains for a result, and nothing below imports it; the benchmarks of bench/ time with timing.py.
"""
