"""What is shown of what is on disk: a finished run's page, a sweep's figure, checkpoints, exported networks.

style.py               the look of all figures, and the file that is written
finished_run.py        what a finished run left, read and checked
overview.py            its page: panels of course.py and verdict_panel.py, and of the kind of target
                       one_feature.py, discriminator.py, orbit.py (of a Dirac-GAN); several_features.py,
                       modes_found.py, images.py
sweep_figure.py        a sweep by setting
inspection.py          what checkpoints hold
export.py              the networks for other programs

Nothing here trains, measures or judges; what matplotlib draws is drawn here, and by profiling/figure.py.
"""
