"""A pair of stores is sampled like the Data it holds, with its weights and times."""

from typing import Any

import pytest
import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.testing import MyFeatureStore, MyGraphStore

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.loader import LinkNeighborLoader, NeighborLoader
from neighborgraph.loader.stores import NodeFeatures, stored_times, stored_weights
from neighborgraph.loader.walk import HOMOGENEOUS

CITES, WRITES = ("paper", "cites", "paper"), ("author", "writes", "paper")


@pytest.fixture
def typed() -> HeteroData:
    """Papers and authors whose edges have times and weights, a third of them zero."""
    data = HeteroData()
    data["paper"].x, data["author"].x = torch.arange(40), torch.arange(20)
    data["paper"].time, data["author"].time = torch.arange(40) * 3, torch.arange(20) * 5
    for kind, sources in ((CITES, 40), (WRITES, 20)):
        ends = torch.stack([torch.randint(sources, (200,)), torch.randint(40, (200,))])
        data[kind].edge_index = ends
        data[kind].seen = torch.randint(100, (200,))
        data[kind].weight = torch.randint(3, (200,)).float()
    return data


def stores_of(data: HeteroData, layout: str = "coo") -> Any:
    """The same in stores, with edges in the order of the layout."""
    features, graphs = MyFeatureStore(), MyGraphStore()
    for kind, store in data.node_items():
        for name in ("x", "time"):
            features.put_tensor(store[name], group_name=kind, attr_name=name, index=None)
    for kind, store in data.edge_items():
        row, col = store.edge_index
        size = data[kind[0]].num_nodes, data[kind[2]].num_nodes
        if layout == "csc":
            col, order = col.sort(stable=True)
            row = row[order]
            store.edge_index = torch.stack([row, col])
            for name in ("seen", "weight"):
                store[name] = store[name][order]
            col = torch._convert_indices_from_coo_to_csr(col, size[1])
        graphs.put_edge_index((row, col), kind, layout, size=size)
        for name in ("seen", "weight"):
            features.put_tensor(store[name], group_name=kind, attr_name=name, index=None)
    return features, graphs


@pytest.mark.parametrize("layout", ["coo", "csc"])
@pytest.mark.parametrize(
    "options",
    [
        {"weight_attr": "weight"},
        {"time_attr": "time"},
        {"time_attr": "seen", "input_time": torch.arange(40) * 3},
        {"time_attr": "seen", "weight_attr": "weight", "input_time": torch.arange(40) * 3},
    ],
    ids=lambda options: " ".join(options),
)
def test_samples_are_those_of_the_data(typed, options: dict, layout: str) -> None:
    stores = stores_of(typed, layout)
    more: Any = {"num_neighbors": [4, 3], "input_nodes": "paper", "batch_size": 15, "seed": 1}
    loaders = (NeighborLoader(data, **more, **options) for data in (stores, typed))
    for batch, same in zip(*loaders, strict=True):
        for kind in ("paper", "author"):
            assert torch.equal(batch[kind].n_id, same[kind].n_id)
            assert torch.equal(batch[kind].x, same[kind].x)
        for kind in (CITES, WRITES):
            assert torch.equal(batch[kind].e_id, same[kind].e_id)
            assert torch.equal(batch[kind].edge_index, same[kind].edge_index)


def test_samples_obey_times_and_weights_of_edges(typed) -> None:
    options: Any = {"time_attr": "seen", "weight_attr": "weight", "batch_size": 10}
    until = torch.randint(100, (40,))
    loader = NeighborLoader(
        stores_of(typed), [4, 3], "paper", input_time=until, num_workers=1, **options
    )
    edges = 0
    for batch in loader:
        for kind in (CITES, WRITES):
            assert (typed[kind].weight[batch[kind].e_id] > 0).all()
            seed_time = batch["paper"].seed_time[batch["paper"].batch[batch[kind].edge_index[1]]]
            assert (typed[kind].seen[batch[kind].e_id] < seed_time).all()
            edges += batch[kind].e_id.numel()
    assert edges > 20


def test_links_of_stores(typed) -> None:
    options: Any = {"time_attr": "seen", "edge_label_time": typed[CITES].seen, "batch_size": 40}
    loaders = (
        LinkNeighborLoader(data, [3], (CITES, typed[CITES].edge_index), seed=2, **options)
        for data in (stores_of(typed), typed)
    )
    for batch, same in zip(*loaders, strict=True):
        assert torch.equal(batch[CITES].e_id, same[CITES].e_id)
        assert torch.equal(batch[CITES].edge_label_index, same[CITES].edge_label_index)


def ungrouped(**attributes: torch.Tensor) -> tuple[Any, Any]:
    """A graph without types, in stores and not."""
    data: Any = Data(x=torch.arange(9), edge_index=torch.randint(9, (2, 60)), **attributes)
    features, graphs = MyFeatureStore(), MyGraphStore()
    for name, value in (("x", data.x), *attributes.items()):
        features.put_tensor(value, group_name=None, attr_name=name, index=None)
    graphs.put_edge_index(tuple(data.edge_index), None, "coo", size=(9, 9))
    return (features, graphs), data


def test_without_types_the_name_decides() -> None:
    seen, weight = torch.randint(50, (60,)), torch.randint(2, (60,)).float()
    stores, data = ungrouped(seen=seen, weight=weight)
    nodes: Any = {"input_nodes": torch.arange(9), "input_time": torch.arange(9) * 9}
    options: Any = {**nodes, "time_attr": "seen", "weight_attr": "weight", "seed": 1}
    loaders = (NeighborLoader(d, [3, 2], batch_size=4, **options) for d in (stores, data))
    for batch, same in zip(*loaders, strict=True):
        assert torch.equal(batch.e_id, same.e_id)
        assert torch.equal(batch.x, same.x)
        assert "seen" not in batch  # PyG has no features of edges in stores
        assert "weight" not in batch

    stores, data = ungrouped(time=torch.arange(9))
    loaders = (
        NeighborLoader(d, [3, 2], torch.arange(9), time_attr="time", seed=1) for d in (stores, data)
    )
    for batch, same in zip(*loaders, strict=True):
        assert torch.equal(batch.e_id, same.e_id)
        assert torch.equal(batch.time, same.time)


def test_features_of_nodes_hide_those_of_edges() -> None:
    (features, _), data = ungrouped(seen=torch.arange(60))
    nodes = NodeFeatures(features, {"seen"})
    (attribute,) = nodes.get_all_tensor_attrs()
    attribute.index = None
    assert attribute.attr_name == "x"
    assert torch.equal(nodes.multi_get_tensor([attribute])[0], data.x)


def test_refuses(typed) -> None:
    features, _ = stores_of(typed)
    edges = {CITES: typed[CITES].edge_index}
    with pytest.raises(InputError, match="'w' is no attribute of edges in the feature store"):
        stored_weights(features, "w", edges)
    with pytest.raises(InputError, match="'x' is no attribute of edges in the feature store"):
        stored_weights(features, "x", edges)
    with pytest.raises(InputError, match="'t' is no attribute in the feature store"):
        stored_times(features, "t", edges)
    with pytest.raises(InputError, match=r"'weight' of edges .*'writes'.* graph store has"):
        stored_weights(features, "weight", edges)
    with pytest.raises(InputError, match=r"'seen' of edges .*'writes'"):
        stored_times(features, "seen", edges)
    features.put_tensor(torch.arange(200), group_name=CITES, attr_name="time", index=None)
    with pytest.raises(InputError, match="of nodes and of edges"):
        stored_times(features, "time", {**edges, WRITES: typed[WRITES].edge_index})
    stores, _ = ungrouped(seen=torch.arange(9))
    with pytest.raises(InputError, match=r"seen of edges .* \[60\] \(only 'time' is of nodes"):
        NeighborLoader(stores, [1], torch.arange(9), time_attr="seen")
    stores, _ = ungrouped(time=torch.rand(9))
    with pytest.raises(DtypeError, match="time must be one of int64, float64"):
        NeighborLoader(stores, [1], torch.arange(9), time_attr="time")
    assert HOMOGENEOUS in stored_times(ungrouped(seen=torch.arange(60))[0][0], "seen",
                                       {HOMOGENEOUS: edges[CITES]})[1]  # fmt: skip
