"""Plant each bug in a copy of the project and ask its tests: every bug must be caught.

``python tests/planted`` plants the bugs that tests catch without a GPU, ``python tests/planted
--gpu`` those in kernels, on a machine that has one. Words after that choose bugs by name.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bugs import BUGS, Bug

ROOT = Path(__file__).parents[2]
COPIED = ("neighborgraph", "cuda", "tests", "examples", "docs", "pyproject.toml", "README.md")
CAUGHT, SURVIVED = 1, 0
"""Exit codes of pytest: a test failed, none did."""


def ask(bug: Bug) -> str:
    """``caught by <test>``, ``SURVIVED``, or what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, Path(folder, name))
        path = Path(folder, bug.file)
        path.write_text(path.read_text().replace(bug.right, bug.wrong))
        for tests in bug.tests:
            code, output = pytest(Path(folder), tests, bug.needs_gpu)
            if code == CAUGHT:
                failed = next(line for line in output if line.startswith("FAILED "))
                failed = failed.removeprefix("FAILED ").split(" - ")[0]
                if pytest(ROOT, failed, bug.needs_gpu)[0] != SURVIVED:
                    return f"NOT ASKED: {failed} fails without the bug"
                return f"caught by {failed}"
            if code != SURVIVED:
                return f"NOT ASKED: {output[-1]}"
    return "SURVIVED"


def pytest(project: Path, tests: str, gpu: bool) -> tuple[int, list[str]]:
    """Exit code and lines of a run that stops at the first failure."""
    marker = ("-m", "cuda") if gpu else ()
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *marker, tests],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return result.returncode, result.stdout.splitlines()


def main(arguments: list[str]) -> int:
    """Print a line a bug; 0 when all were caught."""
    gpu = "--gpu" in arguments
    words = [word for word in arguments if word != "--gpu"]
    chosen = [
        bug
        for bug in BUGS
        if bug.needs_gpu == gpu and (not words or any(word in bug.name for word in words))
    ]
    caught = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for bug, answer in zip(chosen, pool.map(ask, chosen), strict=True):
            caught += answer.startswith("caught")
            print(f"{bug.name}: {answer}", flush=True)
    print(f"{caught} of {len(chosen)} caught")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
