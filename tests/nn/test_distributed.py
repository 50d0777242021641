"""A training on two processes is the training on one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("training_process.py")


def processes(world: int, backend: str, folder: Path) -> list[subprocess.Popen]:
    """All processes of a training, started."""
    return [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), str(world), backend, str(folder)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]


def expect_one_equals_two(backend: str, folder: Path, rtol: float) -> None:
    """Train both ways and compare all parameters and losses."""
    started = processes(2, backend, folder) + processes(1, backend, folder)
    errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], "\n".join(errors)
    (one, one_losses), *two = (
        torch.load(folder / name) for name in ("0-of-1.pt", "0-of-2.pt", "1-of-2.pt")
    )
    for state, _ in two:
        for name, value in one.items():
            torch.testing.assert_close(state[name], value, rtol=rtol, atol=rtol / 10)
    mean = torch.tensor([losses for _, losses in two]).mean(0)
    torch.testing.assert_close(mean, torch.tensor(one_losses), rtol=rtol, atol=rtol / 10)
    assert one_losses[-1] < one_losses[0]


def test_two_processes_equal_one(tmp_path: Path) -> None:
    expect_one_equals_two("gloo", tmp_path, 1e-6)


@pytest.mark.cuda
def test_two_gpus_equal_one(tmp_path: Path) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    expect_one_equals_two("nccl", tmp_path, 1e-3)
