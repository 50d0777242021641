"""A dealt table is one table: rows, gradients, Adam steps; alone it is an ``nn.Embedding``."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from neighborgraph.errors import DtypeError, IdError, InputError
from neighborgraph.nn import ShardedEmbedding

SCRIPT = Path(__file__).with_name("sharding_process.py")


def run(backend: str, folder: Path, world: int) -> list[dict[str, Any]]:
    """What every process found."""
    started = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), str(world), backend, str(folder)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0] * world, "\n".join(errors)
    return [torch.load(folder / f"{rank}-of-{world}.pt") for rank in range(world)]


def put_together(shards: list[torch.Tensor]) -> torch.Tensor:
    """The table whose row i is row i div P of shard i mod P."""
    table = torch.empty(sum(map(len, shards)), shards[0].shape[1])
    for rank, shard in enumerate(shards):
        table[rank :: len(shards)] = shard
    return table


def expect_dealt_equals_whole(backend: str, folder: Path, world: int) -> None:
    (whole,) = run(backend, folder, 1)
    dealt = run(backend, folder, world)
    assert torch.equal(put_together([part["first"] for part in dealt]), whole["first"])
    steps, shares = len(whole["gradients"]), len(whole["found"]) // len(whole["gradients"])
    for step in range(steps):
        gradients = [part["gradients"][step] for part in dealt]
        torch.testing.assert_close(put_together(gradients), whole["gradients"][step])
        each = shares // world
        found = [rows for part in dealt for rows in part["found"][step * each : (step + 1) * each]]
        expected = whole["found"][step * shares : (step + 1) * shares]
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == theirs.shape
            torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(put_together([part["last"] for part in dealt]), whole["last"])
    again = run(backend, folder, world)
    assert all(torch.equal(a["last"], b["last"]) for a, b in zip(again, dealt, strict=True))


@pytest.mark.parametrize("world", [2, 4])
def test_dealt_to_processes_it_is_one_table(tmp_path: Path, world: int) -> None:
    expect_dealt_equals_whole("gloo", tmp_path, world)


@pytest.mark.cuda
def test_dealt_to_two_gpus_it_is_one_table(tmp_path: Path) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    expect_dealt_equals_whole("nccl", tmp_path, 2)


def test_alone_it_is_an_embedding() -> None:
    plain = nn.Embedding(11, 3)
    ours = ShardedEmbedding(11, 3)
    ours.copy_rows(plain.weight)
    assert ours.state_dict().keys() == plain.state_dict().keys()
    ids = torch.tensor([[3, 0, 3], [10, 3, 1]])
    factor = torch.randn(2, 3, 3)
    for table in (ours, plain):
        (table(ids) * factor).sum().backward()
    assert torch.equal(ours(ids), plain(ids))
    assert ours.weight.grad is not None
    assert plain.weight.grad is not None
    assert torch.equal(ours.weight.grad, plain.weight.grad)
    assert ours(ids[:0]).shape == (0, 3, 3)


def test_rows_are_standard_normal_and_follow_the_seed() -> None:
    torch.manual_seed(3)
    one = ShardedEmbedding(5000, 8).weight.detach()
    torch.manual_seed(3)
    assert torch.equal(one, ShardedEmbedding(5000, 8).weight)
    assert abs(float(one.mean())) < 0.02
    assert abs(float(one.std()) - 1) < 0.02


def test_refusals() -> None:
    with pytest.raises(InputError, match="num_embeddings=0 must be at least 1"):
        ShardedEmbedding(0, 3)
    with pytest.raises(InputError, match="embedding_dim=-1 must be at least 1"):
        ShardedEmbedding(3, -1)
    table = ShardedEmbedding(5, 2)
    with pytest.raises(InputError, match=r"table must have shape \[5, 2\], got \[4, 2\]"):
        table.copy_rows(torch.zeros(4, 2))
    with pytest.raises(DtypeError, match="ids must be one of int64, got int32"):
        table(torch.tensor([1], dtype=torch.int32))
    for wrong in (-1, 5):
        with pytest.raises(IdError, match=rf"ids has {wrong}, which is outside \[0, 5\)"):
            table(torch.tensor([[2, wrong]]))


def test_it_says_what_it_holds() -> None:
    assert repr(ShardedEmbedding(5, 2)) == "ShardedEmbedding(5, 2, 5 rows in process 0 of 1)"
