"""Processes: parts that cover, and a device of its own; the exchange is in cli/test_torchrun."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from neighborgraph.errors import BackendUnavailable, ConfigError
from neighborgraph.tasks.processes import Processes, joined, own_device


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 2048])
def test_parts_cover_everything_once(size: int, count: int) -> None:
    parts = [list(range(count))[Processes(rank, size).share(count)] for rank in range(size)]
    assert [number for part in parts for number in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_alone_nothing_changes() -> None:
    alone = Processes()
    assert alone.leads
    assert not Processes(1, 2).leads
    tensor, model = torch.tensor([1.0, 2.0]), torch.nn.Linear(2, 1)
    model(tensor).sum().backward()
    before = [p.detach().clone() for p in model.parameters()]
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    alone.sum_(tensor)
    alone.sum_gradients(model)
    alone.copy_parameters(model)
    alone.expect_same("anything")
    assert tensor.tolist() == [1.0, 2.0]
    assert alone.highest(-3) == -3
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradient)


def test_without_torchrun_there_is_one() -> None:
    for name in ("cpu", "cuda", "cuda:1"):
        assert own_device(torch.device(name)) == torch.device(name)
    with joined(torch.device("cpu")) as processes:
        assert processes == Processes()
    assert not torch.distributed.is_initialized()


@pytest.fixture
def second_of_three(monkeypatch) -> None:
    """As torchrun would start the second process of a machine with two GPUs."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("second_of_three")
def test_every_process_has_a_gpu_of_its_own(monkeypatch) -> None:
    assert own_device(torch.device("cuda")) == torch.device("cuda:1")
    assert own_device(torch.device("cpu")) == torch.device("cpu")
    with pytest.raises(ConfigError, match=r"--device cuda:1 is one GPU, but .* use --device cuda"):
        own_device(torch.device("cuda:1"))
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(BackendUnavailable, match=r"process 2 .* there are 2; .*--nproc_per_node=2"):
        own_device(torch.device("cuda"))


# Torch's optimizers import modules at their first step; an error keeps variables of the calls that
# it ended. Neither may keep the process group. This is one of one, which gloo serves with threads.
THREADS = """
import os, sys
from pathlib import Path
import torch
import torch.distributed as dist
from neighborgraph.errors import TrainingError
from neighborgraph.tasks.processes import joined

def gloo_threads():
    names = [task.read_text() for task in Path("/proc/self/task").glob("*/comm")]
    return sum("gloo" in name for name in names)

def train(processes):
    weight, group = torch.nn.Parameter(torch.ones(1)), dist.group.WORLD
    weight.sum().backward()
    torch.optim.Adam([weight]).step()
    dist.all_reduce(weight.grad, group=group)
    assert gloo_threads()
    with processes.named_failure():
        if sys.argv[1] == "fails":
            raise RuntimeError("Connection closed by peer")

try:
    with joined(torch.device("cpu")) as processes:
        train(processes)
except TrainingError as error:
    print(error)
    assert gloo_threads() == 0
assert gloo_threads() == 0
"""


@pytest.mark.skipif(sys.platform != "linux", reason="lists threads in /proc")
@pytest.mark.parametrize("how", ["ends", "fails"])
def test_no_thread_of_gloo_is_left(how: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    numbers = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "test"}
    done = subprocess.run(
        [sys.executable, "-c", THREADS, how],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | meeting | numbers,
    )
    assert done.returncode == 0, done.stderr
    assert ("process 0 of 1 has lost the others" in done.stdout) == (how == "fails")
