"""`python -m benchmarks`: see `benchmarks.cli`."""

from benchmarks.cli import main
from eval.checkout import refuse_strangers

if __name__ == "__main__":
    refuse_strangers()
    main(prog_name="python -m benchmarks")
