"""The first quarter of an hour on a GPU, prepared: what is run, in which order, and what is expected.

smoke        stream, order and the default game in every execution, against NumPy
probe        figures, section by section; a file that is replaced after each figure
sections     what the probe measures
predictions  what was expected, as data
one          a few steps of one game in one thread block, for profilers and sanitizers
report       predictions beside what came
first.sh, second.sh  the two commands; README.md: how they are prepared and read
"""
