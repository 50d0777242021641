"""``neighborgraph run`` on two processes: the numbers of one, one voice, and no one left waiting.

Most tests start the processes as torchrun does but without it, so that one can be sent a signal.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from neighborgraph.bench.record import read_records
from neighborgraph.tasks import Checkpoints
from neighborgraph.tasks.checkpoint import Checkpoint

LIGHTGCN = ("lightgcn", "--set", "batches.size=100")
SAVING = ("--set", "training.patience=0", "--set", "training.checkpoint_every=5")
LONG = (*SAVING, "--set", "training.epochs=1000000")
# No process waits for longer than a few seconds here.
IMPATIENT = """
import sys
from datetime import timedelta
from neighborgraph.cli import main
from neighborgraph.tasks import processes
processes.PATIENCE = timedelta(seconds={seconds})
sys.exit(main(sys.argv[1:]))
"""


def start(
    out: Path, *typed: Any, world: int = 2, seconds: int = 60, device: str = "cpu"
) -> list[subprocess.Popen]:
    """All processes of one command; the k-th of a tuple is for process k alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(world):
        words = [word[rank] if isinstance(word, tuple) else word for word in typed]
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
        numbers = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
        torchrun = {"TORCHELASTIC_RUN_ID": "test", **meeting, **numbers} if world > 1 else {}
        code = ["-c", IMPATIENT.format(seconds=seconds)]
        options = ["--tiny", "--device", device, "--out", str(out)]
        started.append(
            subprocess.Popen(
                [sys.executable, *code, "run", *words, *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | torchrun,
            )
        )
    return started


def end(started: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of each process; none is left behind."""
    try:
        said = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(started, said, strict=True)]


def saved(out: Path) -> Checkpoint:
    """The newest checkpoint of the only seed."""
    (folder,) = (out / "checkpoints").glob("*/seed-0")
    checkpoint = Checkpoints(folder).load()
    assert checkpoint is not None
    return checkpoint


def wait_for_a_checkpoint(out: Path) -> None:
    """Return when the training is under way."""
    until = time.monotonic() + 60
    while not list(out.glob("checkpoints/*/seed-0/step-*")):
        assert time.monotonic() < until
        time.sleep(0.02)


TRAININGS = pytest.mark.parametrize(
    "typed",
    [
        LIGHTGCN,
        # There are 1,133 pairs: the last batch has one, fewer than there are processes.
        ("lightgcn", "--set", "model.edge_dropout=0.3", "--set", "batches.size=283"),
        ("ultragcn", "--set", "optimizer.lr=0.001", "--set", "batches.size=566"),
    ],
)


def expect_two_equal_one(tmp_path: Path, typed: tuple[str, ...], device: str) -> None:
    """Train both ways and compare parameters, history and what was said."""
    typed = (*typed, "--set", "training.epochs=2", "--set", "training.evaluate_every=1")
    one = end(start(tmp_path / "one", *typed, world=1, device=device))
    first, second = end(start(tmp_path / "two", *typed, device=device))
    assert [code for code, _, _ in (*one, first, second)] == [0, 0, 0], first[2] + second[2]
    assert first[1].splitlines()[2].split()[:2] == [typed[0], "tiny-interactions"]
    assert second[1:] == ("", "")
    ours, expected = saved(tmp_path / "two"), saved(tmp_path / "one")
    for name, tensor in expected.tensors.items():
        if name.startswith("model."):
            torch.testing.assert_close(ours.tensors[name], tensor, rtol=0, atol=1e-5)
    for found, wanted in zip(ours.state["history"], expected.state["history"], strict=True):
        del found["seconds"], wanted["seconds"]
        assert found == pytest.approx(wanted, rel=1e-4)
    (record,) = read_records(tmp_path / "two" / "records.jsonl")
    assert record.device.startswith(f"2 x {device}")


@TRAININGS
def test_two_processes_equal_one(tmp_path: Path, typed: tuple[str, ...]) -> None:
    expect_two_equal_one(tmp_path, typed, "cpu")


@pytest.mark.cuda
@TRAININGS
def test_two_gpus_equal_one(tmp_path: Path, typed: tuple[str, ...]) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    expect_two_equal_one(tmp_path, typed, "cuda")


def test_a_signal_to_one_stops_all_and_resume_is_exact(tmp_path: Path) -> None:
    typed = (*LIGHTGCN, *SAVING, "--set", "training.epochs=150")

    def finish(out: Path, *more: str) -> Checkpoint:
        ended = end(start(out, *typed, *more))
        assert [code for code, _, _ in ended] == [0, 0], ended
        return saved(out)

    straight = finish(tmp_path / "straight")
    started = start(tmp_path / "stopped", *typed)
    wait_for_a_checkpoint(tmp_path / "stopped")
    started[1].send_signal(signal.SIGTERM)
    for code, printed, said in end(started):
        assert (code, printed) == (128 + signal.SIGTERM, "")
        assert "stopped by SIGTERM; add --resume" in said
    assert 5 <= saved(tmp_path / "stopped").step < 150
    resumed = finish(tmp_path / "stopped", "--resume")
    assert resumed.step == straight.step
    for name, tensor in straight.tensors.items():
        assert torch.equal(resumed.tensors[name], tensor), name


def test_when_one_is_killed_the_other_says_so(tmp_path: Path) -> None:
    started = start(tmp_path, *LIGHTGCN, *LONG)
    wait_for_a_checkpoint(tmp_path)
    started[1].kill()
    (code, printed, said), _ = end(started)
    assert (code, printed) == (2, "")
    assert "neighborgraph: process 0 of 2 has lost the others" in said
    assert "Traceback" not in said
    assert saved(tmp_path).step >= 5


def test_when_one_hangs_the_other_does_not_wait_for_ever(tmp_path: Path) -> None:
    started = start(tmp_path, *LIGHTGCN, *LONG, seconds=5)
    wait_for_a_checkpoint(tmp_path)
    started[1].send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    started[0].wait(timeout=60)
    seconds = time.monotonic() - begun
    started[1].kill()
    (code, _, said), _ = end(started)
    assert code == 2
    assert 4 < seconds < 30
    assert "process 0 of 2 has lost the others" in said


def test_when_one_cannot_save_both_end(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("in the way of a folder")
    first, second = end(start(tmp_path, *LIGHTGCN))
    assert first[0] == second[0] == 2
    assert "cannot write a checkpoint" in first[2]
    assert "process 1 of 2 has lost the others" in second[2]


def test_processes_that_were_told_different_things(tmp_path: Path) -> None:
    typed = ("--set", ("optimizer.lr=0.01", "optimizer.lr=0.02"))
    for code, _, said in end(start(tmp_path, *LIGHTGCN, *typed)):
        assert code == 2
        assert "the processes do not begin alike" in said
    assert not (tmp_path / "records.jsonl").exists()


def test_a_model_of_sampled_tokens_in_two_processes(tmp_path: Path) -> None:
    first, second = end(start(tmp_path, "largegt", "--set", "sampling.nodes=4"))
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    (record,) = read_records(tmp_path / "records.jsonl")
    assert record.device.startswith("2 x cpu")


def test_a_model_of_whole_graphs_is_refused(tmp_path: Path) -> None:
    for code, _, said in end(start(tmp_path, "gcn")):
        assert code == 2
        assert "gcn trains on a whole graph in every step, which 2 processes cannot share" in said


def test_under_torchrun_itself(tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = ["-m", "neighborgraph", "run", *LIGHTGCN, "--tiny", "--device", "cpu"]
    command += ["--out", str(tmp_path)]
    done = subprocess.run([*torchrun, *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    assert len(read_records(tmp_path / "records.jsonl")) == 1
    history = tmp_path / "history" / "lightgcn-tiny-interactions" / "seed-0.jsonl"
    moments = [json.loads(line) for line in history.read_text().splitlines()]
    assert moments[-1]["loss"] < moments[0]["loss"]
