"""The front: what a script calls by ``mg.fit``, ``mg.load`` and ``mg.eval``, and the command line likewise.

Here: what target or data a caller means, a run begun, followed, and all that can be asked of it afterwards. A
command reads its options, calls this and prints; what trains, judges, stores or draws belongs to the rooms
below.

configuration.py  the target, the data and the settings that are meant
fitting.py        fit, load
run.py            Run: sample, verdict, score, density, D, page, resume, save
density.py        what a generator makes, in a formula
judging.py        eval: samples that came from elsewhere
wording.py        refusals as a script has them
history.py        metrics as columns
progress.py       what a person sees meanwhile
tensorboard.py    a run as TensorBoard shows it
frames.py         rows as data frames
keeping.py        data from memory in the directory of a run
figures.py        the way to what draws
"""
