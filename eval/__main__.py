"""`python -m eval`: see `eval.cli`."""

from eval.checkout import refuse_strangers
from eval.cli import main

if __name__ == "__main__":
    refuse_strangers()
    main(prog_name="python -m eval")
