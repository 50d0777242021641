"""Checkpoints: exact round trips, no damaged one accepted, no kill loses the one before."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from neighborgraph.errors import CheckpointError
from neighborgraph.tasks import Checkpoints

STATE = {"epoch": 3, "losses": [0.1, float("inf"), 1e-310], "best": {"test_acc": 1 / 3}}


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(40, 7, generator=generator),
        "step": torch.tensor(5.0),
        "empty": torch.empty(0, 3),
        "special": torch.tensor([float("nan"), -0.0, 1e-45, float("inf")]),
        "view": torch.randn(6, 4, generator=generator).t(),
        "random": torch.get_rng_state(),
    }


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and bytes_of(a) == bytes_of(b)


def bytes_of(t: torch.Tensor) -> bytes:
    return t.contiguous().numpy().tobytes()


def test_round_trip_is_exact(tmp_path: Path) -> None:
    saved = tensors()
    checkpoints = Checkpoints(tmp_path / "with space and ü")
    checkpoints.save(3, saved, STATE)
    loaded = checkpoints.load()
    assert loaded is not None
    assert (loaded.step, loaded.state, loaded.skipped) == (3, STATE, ())
    assert loaded.tensors.keys() == saved.keys()
    assert all(same_bits(loaded.tensors[name], saved[name]) for name in saved)


def test_absent_folder_holds_nothing(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "absent").load() is None


def test_newest_two_are_kept_by_step_not_by_text(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (9, 10, 100):
        checkpoints.save(step, {}, {"step": step})
    assert [path.name[:15] for path in checkpoints.newest_first()] == [
        "step-0000000100",
        "step-0000000010",
    ]
    loaded = checkpoints.load()
    assert loaded is not None
    assert loaded.state == {"step": 100}


def test_of_equal_steps_the_later_is_loaded(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for attempt in range(3):
        checkpoints.save(7, {}, {"attempt": attempt})
        time.sleep(0.01)
    loaded = checkpoints.load()
    assert loaded is not None
    assert loaded.state == {"attempt": 2}


def test_leftovers_of_a_kill_are_ignored_and_removed(tmp_path: Path) -> None:
    (tmp_path / ".tmp-1-5").mkdir()
    (tmp_path / ".tmp-1-5" / "tensors.safetensors").touch()
    assert Checkpoints(tmp_path).load() is None
    Checkpoints(tmp_path).save(6, {}, {})
    assert not (tmp_path / ".tmp-1-5").exists()


def damage(path: Path, source: random.Random) -> str:
    """Change one checkpoint in one of six ways; returns which."""
    file = path / source.choice(["tensors.safetensors", "state.json", "manifest.json"])
    content = bytearray(file.read_bytes())
    position = source.randrange(len(content))
    way = source.choice(["bit", "block", "cut", "grow", "remove", "extra"])
    if way == "bit":
        content[position] ^= 1 << source.randrange(8)
    elif way == "block":
        content[position : position + 64] = bytes(x ^ 0x5A for x in content[position:][:64])
    elif way == "cut":
        del content[position:]
    elif way == "grow":
        content += b"\0"
    if way == "remove":
        file.unlink()
    elif way == "extra":
        (path / "other.json").touch()
    else:
        file.write_bytes(content)
    return way


def test_none_of_300_mutations_is_accepted(tmp_path: Path) -> None:
    original = Checkpoints(tmp_path / "original").save(5, tensors(), STATE)
    source, ways = random.Random(0), set()
    for number in range(300):
        folder = tmp_path / str(number)
        shutil.copytree(original, folder / original.name)
        ways.add(damage(folder / original.name, source))
        with pytest.raises(CheckpointError, match=r"no checkpoint in .* is intact") as caught:
            Checkpoints(folder).load()
        assert original.name in str(caught.value)
        shutil.rmtree(folder)
    assert len(ways) == 6


def test_the_one_before_a_damaged_one_is_used_and_said(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"w": torch.ones(2)}, {"n": 1})
    newest = checkpoints.save(2, {"w": torch.zeros(2)}, {"n": 2})
    (newest / "state.json").write_text('{"n": 3}')
    loaded = checkpoints.load()
    assert loaded is not None
    assert (loaded.step, loaded.state) == (1, {"n": 1})
    assert len(loaded.skipped) == 1
    assert newest.name in loaded.skipped[0]


def test_another_format_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("neighborgraph.tasks.checkpoint.FORMAT", 2)
    Checkpoints(tmp_path).save(1, {}, {})
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format 2, this release reads 1"):
        Checkpoints(tmp_path).load()


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"cannot write a checkpoint to .*--out"):
        Checkpoints(tmp_path / "file" / "below").save(1, {}, {})


def test_failed_save_leaves_the_earlier_one_and_no_temporary(tmp_path: Path, monkeypatch) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {}, {"n": 1})

    def full(*arguments) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("neighborgraph.tasks.checkpoint.write_flushed", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        checkpoints.save(2, {}, {"n": 2})
    loaded = checkpoints.load()
    assert loaded is not None
    assert loaded.state == {"n": 1}
    assert len(list(tmp_path.iterdir())) == 1


SAVE_FOREVER = """
import sys
from pathlib import Path
import torch
from neighborgraph.tasks.checkpoint import Checkpoints

torch.set_num_threads(1)
checkpoints = Checkpoints(Path(sys.argv[1]))
newest = checkpoints.load()
step = 0 if newest is None else newest.step
while True:
    step += 1
    checkpoints.save(step, {"w": torch.full((1 << 18,), float(step))}, {"step": step})
    print(step, flush=True)
"""


def test_twenty_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    source, acknowledged = random.Random(0), 0
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOREVER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(source.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split()
        process.stdout.close()
        process.wait()
        loaded = Checkpoints(tmp_path).load()
        assert loaded is not None
        acknowledged = max([acknowledged, *map(int, rest)])
        assert loaded.step >= acknowledged
        assert loaded.skipped == ()
        assert loaded.state == {"step": loaded.step}
        assert bool((loaded.tensors["w"] == loaded.step).all())
    assert acknowledged > 20


def test_state_is_plain_json(tmp_path: Path) -> None:
    path = Checkpoints(tmp_path).save(1, {}, STATE)
    assert json.loads((path / "state.json").read_text()) == STATE
