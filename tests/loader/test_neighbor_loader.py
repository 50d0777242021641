"""NeighborLoader: batches as PyG has them, the same whatever runs beside them, faults refused."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.loader import NeighborLoader as PygLoader
from torch_geometric.nn import GraphSAGE, SAGEConv
from torch_geometric.utils import trim_to_layer

from neighborgraph.errors import DeviceError, InputError
from neighborgraph.loader import NeighborLoader, NeighborSampler


def first_hop(batch: Any) -> dict[int, tuple[int, ...]]:
    """The edges that each seed drew."""
    edges = batch.num_sampled_edges[0]
    receiver, edge = batch.edge_index[1, :edges], batch.e_id[:edges]
    return {
        int(node): tuple(edge[receiver == i].tolist())
        for i, node in enumerate(batch.n_id[: batch.batch_size])
    }


def trees(batch: Any) -> dict[int, tuple]:
    """Everything that each seed reached, where trees are disjoint."""
    found = {}
    owner = batch.batch[batch.edge_index[1]]
    for tree, node in enumerate(batch.n_id[: batch.batch_size].tolist()):
        nodes, edges = batch.n_id[batch.batch == tree], batch.e_id[owner == tree]
        found[node] = tuple(nodes.tolist()), tuple(edges.tolist())
    return found


def all_of(loader: NeighborLoader, part) -> dict:
    return {node: value for batch in loader for node, value in part(batch).items()}


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("subgraph_type", ["directional", "induced"])
def test_batches_are_parts_of_the_graph(data: Any, subgraph_type: str, replace: bool) -> None:
    loader = NeighborLoader(
        data, [4, 3], batch_size=16, subgraph_type=subgraph_type, replace=replace, seed=1
    )
    assert len(loader) == 7
    for number, batch in enumerate(loader):
        seeds = torch.arange(16 * number, min(16 * number + 16, 100), device=data.x.device)
        assert batch.batch_size == seeds.numel()
        assert torch.equal(batch.n_id[: batch.batch_size], seeds)
        assert torch.equal(batch.input_id, seeds.cpu())
        assert torch.equal(batch.x, data.x[batch.n_id])
        assert torch.equal(batch.edge_attr, data.edge_attr[batch.e_id])
        assert torch.equal(batch.n_id[batch.edge_index], data.edge_index[:, batch.e_id])
        assert batch.n_id.unique().numel() == batch.n_id.numel()
        assert batch.edge_index.device == data.edge_index.device
        if subgraph_type == "directional":
            assert sum(batch.num_sampled_nodes) == batch.num_nodes
            assert sum(batch.num_sampled_edges) == batch.num_edges
        else:
            ends = torch.isin(data.edge_index, batch.n_id).all(dim=0)
            assert torch.equal(batch.e_id.sort().values, ends.nonzero().view(-1))


def test_trimming_to_layers_changes_nothing(device: str, data: Any) -> None:
    torch.manual_seed(0)
    data.x = torch.randn(100, 8, device=device)
    loader = NeighborLoader(data, [5, 4, 3], batch_size=10, seed=2)
    convs = [SAGEConv(8, 8).to(device) for _ in range(3)]
    for batch in itertools.islice(loader, 3):
        whole, trimmed, edge_index = batch.x, batch.x, batch.edge_index
        for layer, conv in enumerate(convs):
            whole = conv(whole, batch.edge_index)
            trimmed, edge_index, _ = trim_to_layer(
                layer, batch.num_sampled_nodes, batch.num_sampled_edges, trimmed, edge_index
            )
            trimmed = conv(trimmed, edge_index)
        torch.testing.assert_close(whole[:10], trimmed[:10])


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_samples_do_not_depend_on_workers_threads_or_batches(
    batch_size: int, workers: int, threads: int
) -> None:
    data = Data(edge_index=torch.randint(20, (2, 200)), num_nodes=20)
    options: Any = {"seed": 3, "disjoint": True}
    alone = all_of(NeighborLoader(data, [3, 2], batch_size=20, **options), trees)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    loader = NeighborLoader(
        data, [3, 2], batch_size=batch_size, num_workers=workers, shuffle=True, **options
    )
    found = all_of(loader, trees)
    torch.set_num_threads(before)
    assert found == alone


def test_spawned_workers_draw_the_same() -> None:
    data = Data(edge_index=torch.randint(20, (2, 200)), num_nodes=20)
    options: Any = {"batch_size": 7, "seed": 3, "shuffle": True}
    alone, spawned = (
        NeighborLoader(data, [3, 2], **options, **more)
        for more in ({}, {"num_workers": 1, "multiprocessing_context": "spawn"})
    )
    for batch, same in zip(alone, spawned, strict=True):
        assert torch.equal(batch.n_id, same.n_id)
        assert torch.equal(batch.e_id, same.e_id)


def test_epochs_differ_and_come_again(data: Any) -> None:
    def three_epochs() -> list[dict]:
        loader = NeighborLoader(data, [3], batch_size=9, seed=5, shuffle=True)
        return [all_of(loader, first_hop) for _ in range(3)]

    epochs = three_epochs()
    assert epochs == three_epochs()
    assert all(a != b for a, b in itertools.combinations(epochs, 2))


def test_an_epoch_that_was_stopped_goes_on(data: Any) -> None:
    def loader() -> NeighborLoader:
        return NeighborLoader(data, [3], batch_size=9, seed=5, shuffle=True)

    whole = loader()
    list(whole)
    second = list(whole)
    resumed = loader()
    resumed.epoch = 1
    for batch, same in zip(itertools.islice(resumed, 4, None), second[4:], strict=True):
        assert torch.equal(batch.n_id, same.n_id)
        assert torch.equal(batch.e_id, same.e_id)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_goes_on_with_the_same_batches(
    tmp_path: Path, workers: int, shuffle: bool
) -> None:
    data = Data(x=torch.randn(60, 4), edge_index=torch.randint(60, (2, 400)))
    options: Any = {"num_neighbors": [4, 3], "batch_size": 7, "seed": 5, "shuffle": shuffle}
    options["num_workers"] = workers
    whole = NeighborLoader(data, **options)
    batches = [*whole, *whole, *whole]
    killed = NeighborLoader(data, **options)
    list(killed)
    iterator = iter(killed)
    for _ in range(4):
        next(iterator)
    torch.save(killed.state_dict(), tmp_path / "state.pt")
    del iterator, killed

    resumed = NeighborLoader(data, **options)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt"))
    for batch, same in zip([*resumed, *resumed], batches[9 + 4 :], strict=True):
        for name in ("n_id", "e_id", "edge_index", "x", "input_id"):
            assert torch.equal(batch[name], same[name]), name


def test_a_state_is_for_the_same_seed(data: Any) -> None:
    one, other = (NeighborLoader(data, [3], seed=seed) for seed in (1, 2))
    assert one.seed == one.node_sampler.seed == 1  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(InputError, match="seed = 1, but this one has 2"):
        other.load_state_dict(one.state_dict())


def test_no_seed_draws_one_and_tells(data: Any) -> None:
    torch.manual_seed(1)
    loaders: Any = [NeighborLoader(data, [3], batch_size=100) for _ in range(2)]
    one, other = loaders
    assert one.node_sampler.seed != other.node_sampler.seed
    again = NeighborLoader(data, [3], batch_size=100, seed=one.node_sampler.seed)
    assert all_of(one, first_hop) == all_of(again, first_hop)


@pytest.mark.cuda
def test_gpu_batches_equal_cpu_batches(data: Any) -> None:
    options: Any = {"num_neighbors": [5, 4, 3], "batch_size": 32, "seed": 4}
    extras: Any = (
        {},
        {"replace": True},
        {"disjoint": True},
        {"weight_attr": "weight"},
        {"time_attr": "time", "input_time": torch.arange(100) * 10},
        {"subgraph_type": "induced"},
        {"subgraph_type": "bidirectional"},
    )
    for extra in extras:
        gpu = NeighborLoader(data.clone().to("cuda"), **options, **extra)
        cpu = NeighborLoader(data.clone().cpu(), **options, **extra)
        for batch, wanted in zip(gpu, cpu, strict=True):
            assert batch.x.is_cuda
            for name in ("n_id", "e_id", "edge_index", "x"):
                assert torch.equal(batch[name].cpu(), wanted[name]), (name, extra)


def test_strict_times_of_edges(data: Any) -> None:
    until = torch.randint(1000, (100,))
    loader = NeighborLoader(data, [-1, -1], batch_size=9, time_attr="time", input_time=until)
    for batch in loader:
        seed_time = batch.seed_time.to(batch.time.device)
        assert (batch.time < seed_time[batch.batch[batch.edge_index[1]]]).all()
    # At exactly the time of a seed only by name.
    tied = Data(edge_index=torch.tensor([[0], [1]]), time=torch.tensor([5]), num_nodes=2)
    for rule, edges in (("before", 0), ("until", 1)):
        options: Any = {"time_attr": "time", "input_time": torch.tensor([5])}
        options["temporal_rule"] = rule
        (batch,) = NeighborLoader(tied, [-1], input_nodes=torch.tensor([1]), **options)
        assert batch.num_edges == edges


def test_times_of_nodes() -> None:
    data = Data(edge_index=torch.tensor([[0, 1, 2, 3], [4, 4, 4, 0]]), num_nodes=5)
    data.time = torch.tensor([3, 5, 7, 2, 5])
    for rule, nodes in (("before", [4, 0, 3]), ("until", [4, 0, 1, 3])):
        loader = NeighborLoader(
            data, [-1, -1], torch.tensor([4]), time_attr="time", temporal_rule=rule
        )
        (batch,) = loader
        assert batch.n_id.tolist() == nodes


def test_the_last_neighbours(data: Any) -> None:
    until = torch.full((100,), 800)
    options: Any = {"time_attr": "time", "input_time": until, "batch_size": 100}
    (last,) = NeighborLoader(data, [2], temporal_strategy="last", **options)
    (every,) = NeighborLoader(data, [-1], temporal_strategy="last", **options)
    for i in range(100):
        times, taken = (b.time[b.edge_index[1] == i].sort().values for b in (every, last))
        assert torch.equal(taken, times[-2:])


def test_weights(data: Any) -> None:
    data.weight = (data.edge_attr % 3).float()
    for replace in (False, True):
        for batch in NeighborLoader(
            data, [4, 4], batch_size=20, weight_attr="weight", replace=replace
        ):
            assert (batch.edge_attr % 3 > 0).all()


def test_types(hetero: Any) -> None:
    counts = {kind: [3, 2] for kind in hetero.edge_types}
    counts["author", "writes", "paper"] = [-1, 0]
    loader = NeighborLoader(hetero, counts, "paper", batch_size=10, seed=1)
    for batch in loader:
        assert batch["paper"].n_id[:10].tolist() == batch["paper"].input_id.tolist()
        for kind in hetero.edge_types:
            row, col = batch[kind].edge_index
            ends = torch.stack([batch[kind[0]].n_id[row], batch[kind[2]].n_id[col]])
            assert torch.equal(ends, hetero[kind].edge_index[:, batch[kind].e_id])
            assert sum(batch[kind].num_sampled_edges) == row.numel()
        writes = batch["author", "writes", "paper"].num_sampled_edges
        assert writes[0] > 0
        assert writes[1] == 0
        for kind in hetero.node_types:
            assert torch.equal(batch[kind].x, hetero[kind].x[batch[kind].n_id])
            assert sum(batch[kind].num_sampled_nodes) == batch[kind].num_nodes


def test_a_sampler_can_be_shared(data: Any) -> None:
    sampler = NeighborSampler(data, [3], seed=2)
    train, test = (
        NeighborLoader(data, [3], nodes, neighbor_sampler=sampler, batch_size=50)
        for nodes in (torch.arange(50), torch.arange(50, 100))
    )
    together = all_of(NeighborLoader(data, [3], batch_size=100, seed=2), first_hop)
    assert {**all_of(train, first_hop), **all_of(test, first_hop)} == together


def test_no_seeds(data: Any) -> None:
    nothing = torch.empty(0, dtype=torch.int64)
    assert list(NeighborLoader(data, [3], nothing)) == []
    batch: Any = NeighborLoader(data, [3, 3])(nothing)
    assert batch.num_nodes == 0
    assert batch.edge_index.shape == (2, 0)


def test_isolated_seeds() -> None:
    data: Any = Data(x=torch.randn(4, 2), edge_index=torch.tensor([[0], [1]]))
    (batch,) = NeighborLoader(data, [5, 5], torch.tensor([0, 2, 3]), batch_size=9)
    assert batch.num_edges == 0
    assert torch.equal(batch.x, data.x[[0, 2, 3]])
    assert SAGEConv(2, 2)(batch.x, batch.edge_index).isfinite().all()


def good() -> Any:
    return Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), x=torch.zeros(5, 1))


def test_directed_false_means_induced() -> None:
    with pytest.warns(UserWarning, match="induced"):
        loader: Any = NeighborLoader(good(), [1], directed=False)
    assert loader.node_sampler.rules.induced


class Broken:
    """A transform that fails on the second batch."""

    def __call__(self, batch: Any) -> Data:
        if 1 in batch.input_id:
            raise RuntimeError("seed 1 is broken")
        return batch


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_worker_surfaces(workers: int) -> None:
    loader = NeighborLoader(good(), [1], transform=Broken(), num_workers=workers)
    with pytest.raises(RuntimeError, match="seed 1 is broken"):
        list(loader)


def test_it_is_one_of_pyg_for_its_models() -> None:
    data = good()
    data.x = torch.randn(data.num_nodes, 4)
    loader = NeighborLoader(data, [-1], batch_size=2)
    assert isinstance(loader, PygLoader)
    model = GraphSAGE(4, 8, 2).eval()
    with torch.no_grad():
        torch.testing.assert_close(model.inference(loader), model(data.x, data.edge_index))


@pytest.mark.cuda
def test_workers_beside_a_gpu_are_refused_before_they_start(data: Any) -> None:
    with pytest.raises(DeviceError, match="num_workers=0"):
        NeighborLoader(data.to("cuda"), [1], num_workers=2)
