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


def main(tools: list[str]) -> int:
    """Run everything side by side and print a line a tool; all of them when none is named."""
    chosen = {tool: DEFECTS[tool] for tool in tools or DEFECTS}
    if shutil.which("compute-sanitizer") is None:
        print("compute-sanitizer is not on the PATH; it comes with the CUDA toolkit")
        return 2
    with ThreadPoolExecutor() as pool:
        ours = {tool: pool.submit(run, tool, "workload.py") for tool in chosen}
        planted = {tool: pool.submit(run, tool, "defect.py", chosen[tool]) for tool in chosen}
    good = True
    for tool, defect in chosen.items():
        (clean_code, clean_text), (found_code, found_text) = (
            ours[tool].result(),
            planted[tool].result(),
        )
        clean, awake = clean_code == 0, found_code == FOUND
        good &= clean and awake
        print(f"{tool}: kernels {'clean' if clean else f'NOT CLEAN ({clean_code})'}, ", end="")
        print(f"{defect} {'caught' if awake else f'NOT CAUGHT ({found_code})'}")
        for passed, text in ((clean, clean_text), (awake, found_text)):
            if not passed:
                print(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
