"""What every recommender refuses, and that what it derives is moved but not saved."""

from functools import partial

import pytest
import torch

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.models import LightGCN, Recommender, UltraGCN

GOOD = torch.tensor([[0, 0, 1], [0, 2, 1]])
BOTH = pytest.mark.parametrize("kind", [LightGCN, UltraGCN])


def changed(position: tuple[int, int], value: int) -> torch.Tensor:
    pairs = GOOD.clone()
    pairs[position] = value
    return pairs


@BOTH
@pytest.mark.parametrize(
    ("users", "items", "pairs", "message"),
    [
        (0, 3, GOOD, "num_users=0 must be at least 1"),
        (2, 0, GOOD, "num_items=0 must be at least 1"),
        (2**31, 3, GOOD, r"num_users = 2147483648 is outside .*: ids are 32-bit"),
        (2**30, 2**30, GOOD, r"num_users . num_items = 2147483648 is outside"),
        (2, 3, GOOD[0], r"train_pairs must have shape \[2, n\] .users above items., got \[3\]"),
        (2, 3, GOOD[:, :0], "train_pairs is empty; there is nothing to learn from"),
        (1, 3, GOOD, r"train_pairs\[0\]\[2\] = 1 is outside \[0, 1\); .* larger num_users"),
        (2, 3, changed((1, 1), 3), r"train_pairs\[1\]\[1\] = 3 is outside \[0, 3\)"),
        (2, 3, changed((1, 0), -1), r"train_pairs\[1\]\[0\] = -1 is outside"),
        (2, 3, changed((1, 1), 0), r"train_pairs\[:, 1\] = \[0, 0\] does not come after"),
        (2, 3, GOOD.flip(1), r"train_pairs\[:, 1\] = \[0, 2\] does not come after"),
    ],
)
def test_wrong_pairs(kind, users: int, items: int, pairs: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        kind(users, items, pairs)


@BOTH
def test_pairs_of_another_type(kind) -> None:
    with pytest.raises(DtypeError, match="train_pairs must be one of int64, got int32"):
        kind(2, 3, GOOD.int())
    with pytest.raises(DtypeError, match=r"train_pairs must be a torch.Tensor, got list"):
        kind(2, 3, GOOD.tolist())
    with pytest.raises(DtypeError, match=r"num_users must be an int, got 2.0"):
        kind(2.0, 3, GOOD)  # type: ignore[arg-type]


@BOTH
def test_only_parameters_are_saved(kind) -> None:
    model = kind(2, 3, GOOD)
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


@BOTH
def test_everything_derived_moves_with_the_model(kind) -> None:
    model = kind(2, 3, GOOD).to("meta")
    assert {tensor.device.type for tensor in model.buffers()} == {"meta"}
    assert len(list(model.buffers())) >= 4


@BOTH
def test_one_user_and_one_item_more(kind) -> None:
    model = kind(1, 2, torch.tensor([[0], [1]]))
    pairs = torch.tensor([[0, 0], [1, 1]])
    model.loss(pairs, model.draw(pairs)).backward()
    users, items = model.embeddings()
    assert (users.shape, items.shape) == ((1, 64), (2, 64))


@BOTH
def test_two_steps_are_the_same_bits(kind) -> None:
    pairs = torch.randint(0, 200, (2, 3000)).unique(dim=1)
    torch.manual_seed(1)
    model = kind(200, 200, pairs, embedding_dim=32)
    runs = []
    for _ in range(2):
        model.zero_grad()
        batch = pairs[:, :512]
        negatives = model.draw(batch, torch.Generator().manual_seed(2))
        loss = model.loss(batch, negatives)
        loss.backward()
        runs.append((negatives, loss, *(p.grad.clone() for p in model.parameters())))
    for first, second in zip(*runs, strict=True):
        assert torch.equal(first, second)


def test_the_contract_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Recommender(2, 3, GOOD)  # type: ignore[abstract]


@pytest.mark.cuda
@BOTH
def test_a_captured_step_is_an_eager_step(kind) -> None:
    pairs = torch.randint(0, 2_000, (2, 60_000)).unique(dim=1).cuda()
    model = kind(2_000, 2_000, pairs).cuda()
    batch = pairs[:, torch.randperm(pairs.shape[1], device="cuda")[:2048]].contiguous()

    def step() -> tuple[torch.Tensor, torch.Tensor]:
        negatives = model.draw(batch)
        loss = model.loss(batch, negatives)
        loss.backward()
        # Detached: a graph of autograd that lives on would tie the parameters to this stream.
        return negatives, loss.detach()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            model.zero_grad()
            step()
    torch.cuda.current_stream().wait_stream(side)
    model.zero_grad()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        negatives, loss = step()
    drawn = []
    for _ in range(2):
        graph.replay()
        drawn.append(negatives.clone())
        captured = [loss.clone(), *(p.grad.clone() for p in model.parameters())]
        parameters = list(model.parameters())
        eager_loss = model.loss(batch, negatives)
        eager = [eager_loss, *torch.autograd.grad(eager_loss, parameters)]
        for first, second in zip(captured, eager, strict=True):
            assert torch.equal(first, second)
    assert not torch.equal(*drawn)  # each replay draws anew


@pytest.mark.cuda
@BOTH
def test_every_device_has_the_same_loss(kind) -> None:
    pairs = torch.randint(0, 500, (2, 9_000)).unique(dim=1)
    model = kind(500, 500, pairs)
    batch = pairs[:, ::7]
    negatives = model.draw(batch)
    losses = [model.loss(batch, negatives)]
    losses.append(model.cuda().loss(batch.cuda(), negatives.cuda()).cpu())
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "build",
    [
        partial(LightGCN, embedding_dim=4, reg=0.3),
        partial(UltraGCN, embedding_dim=4, num_negatives=3, reg=0.3, init_std=1.0),
    ],
)
def test_losses_of_parts_add_up_to_that_of_the_batch(pairs, build) -> None:
    model = build(12, 20, pairs).double()
    batch = pairs[:, :9]
    negatives = model.draw(batch)
    parameters = list(model.parameters())
    whole = model.loss(batch, negatives)
    gradients = torch.autograd.grad(whole, parameters)
    bounds, size = [(0, 4), (4, 4), (4, 9)], torch.tensor(9)
    losses = [model.loss(batch[:, a:b], negatives[a:b], size) for a, b in bounds]
    assert losses[1] == 0
    parts = [torch.autograd.grad(loss, parameters) for loss in losses]
    torch.testing.assert_close(sum(losses), whole)
    for gradient, *summands in zip(gradients, *parts, strict=True):
        torch.testing.assert_close(sum(summands), gradient)
