"""NAT's memory: sizes, tensors there and back, and what it refuses to load."""

from typing import Any

import pytest
import torch

from neighborgraph.errors import CheckpointError, InputError
from neighborgraph.models.nat_memory import NATMemory

SIZES: dict[str, Any] = {
    "self_channels": 4,
    "slot_channels": 2,
    "alpha": 0.5,
    "seed": 1,
    "time_dtype": torch.int64,
    "dtype": torch.float32,
    "device": None,
}


def filled(nodes: int = 6, sizes: tuple[int, ...] = (3, 2)) -> NATMemory:
    memory = NATMemory.empty(nodes, sizes, **SIZES)
    for tensor in memory.tensors().values():
        tensor.copy_(torch.randint(9, tensor.shape))
    return memory


def test_tables() -> None:
    memory = NATMemory.empty(6, (3, 2), **SIZES)
    assert [table.event.shape for table in memory.tables] == [(6, 1), (6, 3), (6, 2)]
    assert [t.feature.shape[2] for t in memory.tables if t.feature is not None] == [6, 2, 2]
    assert len(NATMemory.empty(6, (3,), **SIZES).tables) == 2


def test_self_vectors() -> None:
    memory = filled()
    node = torch.tensor([[0, 5], [2, -1]])
    found = memory.self_vectors(node, 4)
    assert found.shape == (2, 2, 4)
    assert memory.own.feature is not None
    assert torch.equal(found[0, 1], memory.own.feature[5, 0, :4])


def test_there_and_back() -> None:
    memory, other = filled(), NATMemory.empty(6, (3, 2), **SIZES)
    saved = {name: tensor.clone() for name, tensor in memory.tensors().items()}
    other.load(saved)
    memory.reset()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in other.tensors().items())
    assert (memory.own.event == -1).all()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: filled(7), r"another memory: hop0.neighbor is \[7, 1\] .* there"),
        (lambda: filled(6, (3,)), r"another memory: hop2\.event, .* are not in both"),
        (lambda: filled(6, (3, 4)), r"another memory: hop2.neighbor is \[6, 4\] .* there"),
    ],
)
def test_memory_of_another_graph_is_refused(other: Any, message: str) -> None:
    memory = filled()
    with pytest.raises(CheckpointError, match=message):
        memory.load(other().tensors())


def test_too_large_is_said() -> None:
    with pytest.raises(InputError, match="bytes, which are not to be had"):
        NATMemory.empty(2**31 - 1, (2**20,), **SIZES)
