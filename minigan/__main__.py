"""``python -m minigan``: the command line."""

from minigan.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
