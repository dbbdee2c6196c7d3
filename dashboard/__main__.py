"""`python -m dashboard`: see `dashboard.cli`."""

from dashboard.cli import main
from eval.checkout import refuse_strangers

if __name__ == "__main__":
    refuse_strangers()
    main(prog_name="python -m dashboard")
