"""LinkNeighborLoader: links are found again, negatives are random, the same everywhere."""

from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch_geometric.data import Data
from torch_geometric.sampler import NegativeSampling

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.loader import LinkNeighborLoader


@pytest.mark.parametrize("disjoint", [False, True])
@pytest.mark.parametrize("amount", [None, 1, 2.5])
def test_binary(data: Any, amount: float | None, disjoint: bool) -> None:
    sampling = None if amount is None else NegativeSampling("binary", amount)
    loader = LinkNeighborLoader(
        data, [3, 2], neg_sampling=sampling, batch_size=50, disjoint=disjoint, seed=1
    )
    assert len(loader) == 18
    for batch in loader:
        positives = data.edge_index[:, batch.input_id.to(data.x.device)]
        ends = batch.n_id[batch.edge_label_index]
        assert torch.equal(ends[:, :50], positives)
        negatives = 0 if amount is None else int(50 * amount)
        assert ends.shape == (2, 50 + negatives)
        if amount is not None:
            assert batch.edge_label.tolist() == [1.0] * 50 + [0.0] * negatives
        if disjoint:
            links = torch.arange(50 + negatives, device=ends.device) % 50
            owners = batch.batch[batch.edge_label_index]
            assert torch.equal(owners, links.expand(2, -1))
        else:
            seeds = batch.num_sampled_nodes[0]
            assert torch.equal(batch.n_id[:seeds], ends.unique())


@pytest.mark.parametrize("disjoint", [False, True])
@pytest.mark.parametrize("amount", [1, 3])
def test_triplets(data: Any, amount: int, disjoint: bool) -> None:
    loader = LinkNeighborLoader(
        data, [2], neg_sampling={"mode": "triplet", "amount": amount}, batch_size=30,
        disjoint=disjoint,
    )  # fmt: skip
    for batch in loader:
        source, destination = data.edge_index[:, batch.input_id.to(data.x.device)]
        assert torch.equal(batch.n_id[batch.src_index], source)
        assert torch.equal(batch.n_id[batch.dst_pos_index], destination)
        assert batch.dst_neg_index.shape == ((30,) if amount == 1 else (30, amount))
        if disjoint:
            owner = batch.batch[batch.dst_neg_index].view(30, -1)
            expected = torch.arange(30, device=owner.device)[:, None]
            assert torch.equal(owner, expected.expand_as(owner))


def negatives_of(data: Any, **options) -> dict[int, list[int]]:
    """The negative destinations of each link."""
    found = {}
    for batch in LinkNeighborLoader(data, [1], neg_sampling="triplet", seed=6, **options):
        nodes = batch.n_id[batch.dst_neg_index]
        found.update(zip(batch.input_id.tolist(), nodes.tolist(), strict=True))
    return found


@pytest.mark.parametrize("options", [{"batch_size": 7}, {"num_workers": 2}, {"shuffle": True}])
def test_negatives_do_not_depend_on_workers_or_batches(options: dict) -> None:
    data = Data(edge_index=torch.randint(100, (2, 150)), num_nodes=100)
    assert negatives_of(data, **{"batch_size": 40, **options}) == negatives_of(data, batch_size=150)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_goes_on_with_the_same_batches(workers: int) -> None:
    data = Data(edge_index=torch.randint(60, (2, 100)), num_nodes=60)
    options: Any = {"neg_sampling": "binary", "batch_size": 9, "seed": 5, "shuffle": True}

    def loader() -> LinkNeighborLoader:
        return LinkNeighborLoader(data, [4, 3], num_workers=workers, **options)

    batches, killed, resumed = list(loader()), loader(), loader()
    iterator = iter(killed)
    for _ in range(5):
        next(iterator)
    resumed.load_state_dict(killed.state_dict())
    for batch, same in zip(resumed, batches[5:], strict=True):
        for name in ("n_id", "e_id", "edge_label_index", "edge_label", "input_id"):
            assert torch.equal(batch[name], same[name]), name


def test_negatives_follow_weights(data: Any) -> None:
    weight = torch.arange(100.0)
    sampling = NegativeSampling("triplet", 200, dst_weight=weight)
    counts = torch.zeros(100, dtype=torch.int64)
    for batch in LinkNeighborLoader(data, [0], neg_sampling=sampling, batch_size=900, seed=1):
        counts += batch.n_id[batch.dst_neg_index].flatten().cpu().bincount(minlength=100)
    assert counts.sum() == 180_000
    assert counts[0] == 0
    expected = weight[1:].double() / weight.sum() * counts.sum()
    assert chisquare(counts[1:].double().numpy(), expected.numpy()).pvalue > 1e-4


def test_negatives_are_nodes_that_are_there(data: Any) -> None:
    data.time = torch.arange(100, device=data.x.device)
    times = torch.randint(0, 120, (900,))
    for rule in ("before", "until"):
        loader = LinkNeighborLoader(
            data, [2], edge_label_time=times, time_attr="time", temporal_rule=rule,
            neg_sampling={"mode": "triplet", "amount": 2}, batch_size=90,
        )  # fmt: skip
        for batch in loader:
            drawn = data.time[batch.n_id[batch.dst_neg_index]].cpu()
            until = batch.seed_time.cpu()[:, None]
            allowed = drawn < until if rule == "before" else drawn <= until
            assert (allowed | (drawn == 0)).all()


@pytest.mark.parametrize("rule", ["before", "until"])
def test_no_edge_of_the_future(data: Any, rule: str) -> None:
    times = torch.randint(1000, (900,))
    loader = LinkNeighborLoader(
        data, [-1, -1], edge_label_time=times, time_attr="time", temporal_rule=rule,
        neg_sampling="binary", batch_size=90,
    )  # fmt: skip
    for batch in loader:
        assert batch.edge_label_time.numel() == 180
        until = times[batch.input_id].to(batch.time.device)
        until = until[batch.batch[batch.edge_index[1]]]
        assert (batch.time < until if rule == "before" else batch.time <= until).all()


@pytest.mark.parametrize("kind", [("author", "writes", "paper"), ("paper", "cites", "paper")])
@pytest.mark.parametrize("disjoint", [False, True])
def test_types(hetero: Any, kind: tuple, disjoint: bool) -> None:
    loader = LinkNeighborLoader(
        hetero, [3, 2], kind, neg_sampling="binary", batch_size=20, disjoint=disjoint
    )
    for batch in loader:
        row, col = batch[kind].edge_label_index
        links = hetero[kind].edge_index[:, batch[kind].input_id.to(row.device)]
        assert torch.equal(batch[kind[0]].n_id[row][:20], links[0])
        assert torch.equal(batch[kind[2]].n_id[col][:20], links[1])
        if disjoint:
            assert torch.equal(batch[kind[0]].batch[row], batch[kind[2]].batch[col])


def test_labels_and_times(data: Any) -> None:
    label = torch.arange(900) % 3
    loader = LinkNeighborLoader(
        data, [2], edge_label=label, edge_label_time=torch.arange(900), time_attr="time",
        batch_size=30, shuffle=True,
    )  # fmt: skip
    for batch in loader:
        assert torch.equal(batch.edge_label.cpu(), batch.input_id % 3)
        assert torch.equal(batch.edge_label_time.cpu(), batch.input_id)


def good() -> Any:
    return Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), x=torch.zeros(5, 1))


LINK = torch.tensor([[0], [1]])
REFUSED = {
    "link to nowhere": (
        lambda: LinkNeighborLoader(good(), [1], torch.tensor([[0], [5]])),
        InputError,
        r"edge_label_index\[1\]\[0\] = 5",
    ),
    "float links": (
        lambda: LinkNeighborLoader(good(), [1], LINK.double()),
        DtypeError,
        "edge_label_index",
    ),
    "labels": (
        lambda: LinkNeighborLoader(good(), [1], LINK, edge_label=torch.ones(2)),
        InputError,
        "edge_label must have shape",
    ),
    "times without an attribute": (
        lambda: LinkNeighborLoader(good(), [1], LINK, edge_label_time=torch.tensor([1])),
        InputError,
        "'time_attr' is not set",
    ),
    "an attribute without times": (
        lambda: LinkNeighborLoader(good(), [1], LINK, time_attr="t"),
        InputError,
        "'edge_label_time' is not set",
    ),
    "negative weights": (
        lambda: LinkNeighborLoader(
            good(), [1], neg_sampling=NegativeSampling("triplet", 1, dst_weight=-torch.ones(5))
        ),
        InputError,
        r"\[0\] = -1.0",
    ),
    "all weights zero": (
        lambda: LinkNeighborLoader(
            good(), [1], neg_sampling=NegativeSampling("triplet", 1, dst_weight=torch.zeros(5))
        ),
        InputError,
        "all weights are 0",
    ),
    "too few weights": (
        lambda: LinkNeighborLoader(
            good(), [1], neg_sampling=NegativeSampling("triplet", 1, dst_weight=torch.ones(4))
        ),
        InputError,
        r"shape \[5\]",
    ),
    "batch size": (lambda: LinkNeighborLoader(good(), [1], batch_size=0), InputError, "batch_size"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()
