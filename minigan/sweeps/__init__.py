"""Many runs: sweeps over settings, the workers that train them, and runs side by side.

Here belong the plan and the table of a sweep, where its runs train, and comparisons. Not here: how one run
trains, or several as one program (``training``), and how results look (``reports``, ``cli``).
"""
