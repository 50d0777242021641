"""Steps: one Adam step a batch, losses added up; the captured step equals the eager one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from neighborgraph.tasks.processes import ALONE, Processes
from neighborgraph.tasks.step import CapturedStep, EagerStep, Step


def squared_error(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return (model(x) - y).square().mean()


def build(
    kind: type[Step], device: str = "cpu", processes: Processes = ALONE
) -> tuple[Step, nn.Module]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)).to(device)
    adam = torch.optim.Adam(
        model.parameters(), lr=0.01, fused=True, capturable=device.startswith("cuda")
    )
    return kind(squared_error, model, adam, processes), model


def batches(device: str = "cpu", sizes: tuple[int, ...] = (8, 8, 3) * 4) -> list[tuple]:
    random = torch.Generator().manual_seed(1)
    drawn = [torch.randn(size, 5, generator=random) for size in sizes]
    return [(t[:, :4].to(device), t[:, 4:].to(device)) for t in drawn]


def test_eager_step_is_plain_adam() -> None:
    step, model = build(EagerStep)
    _, plain = build(EagerStep)
    adam = torch.optim.Adam(plain.parameters(), lr=0.01, fused=True)
    losses = []
    for batch in batches():
        step(*batch)
        adam.zero_grad()
        loss = squared_error(plain, *batch)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert step.mean_loss() == pytest.approx(sum(losses) / len(losses), rel=1e-12)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_mean_loss_begins_anew() -> None:
    step, model = build(EagerStep)
    step(*batches()[0])
    step.mean_loss()
    assert step.mean_loss() == 0.0
    expected = squared_error(model, *batches()[1]).item()
    step(*batches()[1])
    assert step.mean_loss() == expected


@pytest.mark.cuda
def test_captured_step_equals_the_eager_one_bit_for_bit() -> None:
    eager, plain = build(EagerStep, "cuda")
    captured, model = build(CapturedStep, "cuda")
    for batch in batches("cuda"):
        eager(*batch)
        captured(*batch)
    assert isinstance(captured, CapturedStep)
    assert len(captured.replayed.graphs) == 2  # one a shape
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert captured.mean_loss() == eager.mean_loss()


@pytest.mark.cuda
def test_captured_step_goes_on_after_the_learning_state_was_changed_in_place() -> None:
    eager, plain = build(EagerStep, "cuda")
    captured, model = build(CapturedStep, "cuda")
    best = None
    for number, batch in enumerate(batches("cuda")):
        for step, own in ((eager, plain), (captured, model)):
            step(*batch)
            if number == 5:
                best = {name: t.clone() for name, t in own.state_dict().items()}
            if number == 8:
                assert best is not None
                own.load_state_dict(best)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.cuda
def test_a_captured_step_never_waits_for_the_gpu(waiting_refused) -> None:
    step, _ = build(CapturedStep, "cuda")
    drawn = batches("cuda")
    for batch in drawn:
        step(*batch)
    with waiting_refused():
        for batch in drawn:
            step(*batch)
    assert step.mean_loss() > 0


@pytest.fixture
def nccl(tmp_path: Path) -> Iterator[None]:
    """A group of this process alone."""
    meeting = f"file://{tmp_path}/meeting"
    torch.distributed.init_process_group("nccl", init_method=meeting, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.cuda
@pytest.mark.usefixtures("nccl")
def test_a_captured_step_sums_over_processes_as_the_eager_one_does() -> None:
    # The group has one process, so that sums change nothing; a step that thinks of two makes them.
    eager, plain = build(EagerStep, "cuda", Processes(0, 2))
    captured, model = build(CapturedStep, "cuda", Processes(0, 2))
    for batch in batches("cuda"):
        eager(*batch)
        captured(*batch)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert captured.mean_loss() == eager.mean_loss()
