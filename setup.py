"""Packages, dependencies, the entry point; pyproject.toml holds the build system and the tools' settings.

Every lower bound here is a version that can be installed and with which the suite passes: `nox -s lowest`.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

version = re.search(r'"(.+)"', Path(__file__).with_name("minigan").joinpath("_version.py").read_text())[1]

graph = ["fast-sugiyama>=0.5"]  # minigan graph -o FILE.svg: lays graphs out, in Rust, with no dependencies
plot = ["matplotlib>=3.10.7"]  # the figures of a run; everything else works without
# The live page, and reports of one file: servers, figures and sliders of one library. 3.10 wants Python
# 3.12, 3.9 is the newest for 3.11; from 3.8.2 on a page of another origin cannot connect (CVE-2026-21883).
# The others: contours and the server of Bokeh itself, and what lays the tape out.
ui = [
    "bokeh>=3.10; python_version >= '3.12'",
    "bokeh>=3.9; python_version < '3.12'",
    "contourpy>=1.2",
    "tornado>=6.2",
    *graph,
]
cluster = ["dask[distributed]>=2025.1"]  # minigan sweep --workers dask: on other machines, by TLS
sklearn = ["scikit-learn>=1.6.1"]  # minigan.sklearn: its tags and validate_data are of 1.6
tensorboard = ["tensorboardX>=2.6.2.2"]  # logs for TensorBoard, which itself is not needed to write them
bench = ["pytest>=8.1.1", "pytest-benchmark>=5.2"]  # python -m pytest bench/bench_step.py
native = ["ziglang>=0.13"]  # a C compiler for --set execution=native, where there is none
test = [
    *plot,
    *graph,
    *cluster,
    *bench,
    *sklearn,
    "pandas>=2.2.3",  # the data frames that most people have, and what set_output gives; others are in nox
    "setuptools>=77.0.1",  # builds the wheel that the packaging tests open
    "pytest-timeout>=2.3.1",  # a test that hangs fails instead
    "pytest-xdist>=3.6.1",  # a process of tests per core: make test in half the time
    "pytest-cov>=7",  # branches, those of the processes that tests start among them: make coverage
    "hypothesis>=6.100",  # properties over shapes, configs and files
    "autograd>=1.8",  # HIPS autograd: the independent oracle of gradients in every run
    "jsonschema>=4.18",  # holds what --json prints against the schema that is shipped
    "mpmath>=1.3",  # exact values of the logistic family's tails
    "mypy>=1.18.1",  # the package ships py.typed, so its types have to hold
    "ruff>=0.14",
]
browser = [*test, *ui, "selenium>=4.20"]  # make browser: pages in headless Chromium
docs = [  # make docs; nothing is fetched while it builds
    *plot,
    *sklearn,
    "sphinx>=8.2,<10",
    "myst-nb>=1.3",  # Markdown, notebooks and pages whose code is run while building
    "ipykernel>=6.29",  # which runs it
    "pydata-sphinx-theme>=0.16",  # brings all its scripts and fonts
    "sphinx-gallery>=0.19",  # the examples as pages with their pictures
    "joblib>=1.5",  # two of them at once
]
dist = ["build>=1.2.2", "twine>=6"]  # make dist: the archives that are published, built and checked
dev = ["nox>=2025.2.9", "pre-commit>=4"]  # noxfile.py and .pre-commit-config.yaml

setup(
    version=version,
    packages=find_packages(include=["minigan", "minigan.*"]),
    package_data={
        "minigan": ["py.typed"],
        "minigan.backend": ["kernels/*"],
        "minigan.compiler": ["native.h"],
        "minigan.reports": ["page/*"],
        "minigan.cli": ["schema.json"],
        "minigan.testing": ["*.h"],
        "minigan.testing.strict": ["*.json"],
        "minigan.training": ["datasets/*"],
    },
    install_requires=[
        "numpy>=2.2",  # the engine; before it numpy.testing, which SciPy imports, starts lscpu
        "scipy>=1.17",  # special functions and statistics
        "click>=8.2",  # the command line
        "rich>=14",  # progress and tables on it
        "msgspec>=0.20",  # typed configuration with bounds, JSON and TOML
        "safetensors>=0.6.1",  # checkpoints that cannot run code
        "filelock>=3.20",  # one writer per run directory
        "threadpoolctl>=3.7",  # BLAS threads fixed per run: they decide the rounding of a product
    ],
    extras_require={
        "graph": graph,
        "plot": plot,
        "ui": ui,
        "cluster": cluster,
        "native": native,
        "tensorboard": tensorboard,
        "bench": bench,
        "sklearn": sklearn,
        "test": test,
        "docs": docs,
        "dist": dist,
        "browser": browser,
        "dev": dev,
        # One of the four, never two: CuPy's wheels overwrite each other's files. The bare wheel takes cuBLAS,
        # NVRTC and the headers from a CUDA toolkit, or from PyTorch's nvidia-* wheels; [ctk] brings its own,
        # 1 to 2 GB, which those who have them need not download.
        "cuda12": ["cupy-cuda12x>=14,<15"],
        "cuda12-ctk": ["cupy-cuda12x[ctk]>=14,<15"],
        "cuda13": ["cupy-cuda13x>=14,<15"],
        "cuda13-ctk": ["cupy-cuda13x[ctk]>=14,<15"],
    },
    entry_points={"console_scripts": ["minigan = minigan.cli:main"]},
)
