"""All tools of compute-sanitizer: silent on our kernels, loud on a planted defect each.

``python tests/sanitizer`` on a machine with a GPU and compute-sanitizer; exit code 0 when
both hold.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from workload import PARTS

HERE = Path(__file__).parent
DEFECTS = {
    "memcheck": "writes_behind_the_end",
    "racecheck": "reads_without_a_barrier",
    "initcheck": "adds_to_what_is_not_there",
    "synccheck": "waits_for_half",
}
FOUND = 99
"""Exit code that tells a finding from a crash."""


def run(tool: str, script: str, *arguments: str) -> tuple[int, str]:
    """Exit code and last lines of a script under a tool."""
    command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", str(FOUND)]
    if tool == "memcheck":
        # cuda.core asks the driver for functions that older drivers lack.
        command += ["--report-api-errors", "no"]
    # Torch's cache would hand out one piece of memory again and again, and hide both overruns and
    # reads of what nobody wrote.
    environment = os.environ | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    result = subprocess.run(
        [*command, sys.executable, str(HERE / script), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return result.returncode, "\n".join(result.stdout.splitlines()[-12:])


def plain(script: str, *arguments: str) -> None:
    """A script by itself."""
    subprocess.run([sys.executable, str(HERE / script), *arguments], check=True)


def main(tools: list[str]) -> int:
    """Run everything side by side and print a line each; all tools when none is named."""
    chosen = {tool: DEFECTS[tool] for tool in tools or DEFECTS}
    if shutil.which("compute-sanitizer") is None:
        print("compute-sanitizer is not on the PATH; it comes with the CUDA toolkit")
        return 2
    # Each tool on each part, which must be silent, and on its defect, which must not.
    wanted = [(tool, part, 0) for tool in chosen for part in PARTS]
    wanted += [(tool, defect, FOUND) for tool, defect in chosen.items()]

    def ask(tool: str, what: str, code: int) -> bool:
        found, text = run(tool, "workload.py" if code == 0 else "defect.py", what)
        good = "clean" if code == 0 else "caught"
        print(f"{tool}, {what}: {good if found == code else f'NOT {good} ({found})'}", flush=True)
        if found != code:
            print(text, flush=True)
        return found == code

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # Without a tool first, so that all find the kernels compiled.
        list(pool.map(lambda part: plain("workload.py", part), PARTS))
        return 0 if all(list(pool.map(ask, *zip(*wanted, strict=True)))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
