"""Processes: parts that cover, and a device of its own; the exchange is in cli/test_torchrun."""

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
