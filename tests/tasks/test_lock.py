"""One run a folder, whatever way the other one ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from neighborgraph.errors import ConfigError
from neighborgraph.tasks.lock import exclusive

HOLD = """
import sys, time
from pathlib import Path
from neighborgraph.tasks.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_second_run_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with (
            pytest.raises(ConfigError, match=rf"in use by process {process.pid} on .*--out"),
            exclusive(tmp_path),
        ):
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with exclusive(tmp_path):
            pass


def test_lock_ends_with_its_block(tmp_path: Path) -> None:
    for _ in range(2):
        with exclusive(tmp_path / "new"):
            pass


def test_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match=r"cannot write to the output folder .*--out"),
        exclusive(tmp_path / "file" / "runs"),
    ):
        pass
