"""`python tests/hostile`: the long attack with its report, one worker of it, or the coverage-guided form.

Some packages install a top-level package called `tests`; started outside pytest, this file makes the
name stand for this checkout's folder before anything is imported from it.
"""

import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
spec = ModuleSpec("tests", None, is_package=True)
spec.submodule_search_locations = [str(ROOT / "tests")]
sys.modules["tests"] = module_from_spec(spec)
sys.path[0] = str(ROOT)

if __name__ == "__main__":
    from tests.hostile.commands import main

    main()
