"""`python -m joystreamer.training train ...`: the command line, for launchers that start modules."""

from joystreamer.cli import main

if __name__ == "__main__":
    main()
