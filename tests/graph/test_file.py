"""A saved graph comes back bit for bit, and a damaged file never comes back as another graph."""

import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from neighborgraph.errors import DataFileError
from neighborgraph.graph import Graph, load_graph, save_graph
from neighborgraph.graph.file import SEAL
from neighborgraph.sealed import digest
from neighborgraph.testing import AWKWARD, awkward_graphs, random_graph

MUTATIONS = 200


def content(graph: Graph) -> tuple:
    """All that tells one graph from another."""
    weight = None if graph.weight is None else (graph.weight.dtype, graph.weight.tolist())
    return graph.num_cols, graph.num_rows, graph.edge_index.tolist(), weight


@pytest.mark.parametrize("name", AWKWARD)
def test_round_trip(name: str, device: str, tmp_path: Path) -> None:
    graph = awkward_graphs(device)[name]
    save_graph(graph, tmp_path / "graph")
    again = load_graph(tmp_path / "graph")
    assert content(again) == content(graph)
    for one, other in zip(again.rows, graph.rows, strict=True):
        assert torch.equal(one, other.cpu())
    assert [path.name for path in tmp_path.iterdir()] == ["graph"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_round_trip_of_weights(dtype: torch.dtype, tmp_path: Path) -> None:
    graph = random_graph(1, dtype=dtype)
    save_graph(graph, str(tmp_path / "graph"))
    assert content(load_graph(str(tmp_path / "graph"))) == content(graph)


def test_weights_that_are_learned_are_saved_by_value(tmp_path: Path) -> None:
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    edge_index = torch.tensor([[0, 1], [1, 0]])
    save_graph(Graph.from_edge_index(edge_index, 2, weight=weight), tmp_path / "graph")
    again = load_graph(tmp_path / "graph").weight
    assert again is not None
    assert (again.tolist(), again.requires_grad) == ([1.0, 2.0], False)


def test_the_transpose_is_rebuilt_on_request(tmp_path: Path) -> None:
    graph = Graph.from_edge_index(torch.tensor([[0], [1]]), 2, transpose=False)
    save_graph(graph, tmp_path / "graph")
    assert load_graph(tmp_path / "graph").cols is not None
    assert load_graph(tmp_path / "graph", transpose=False).cols is None


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    for seed in (1, 2):
        save_graph(random_graph(seed), tmp_path / "graph")
    assert content(load_graph(tmp_path / "graph")) == content(random_graph(2))
    assert [path.name for path in tmp_path.iterdir()] == ["graph"]


def mutate(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """The bytes of a file after one of the accidents that files have."""
    kind = rng.choice(["bit", "byte", "zeros", "truncate", "append", "cut out", "swap"])
    changed = bytearray(data)
    at = rng.randrange(len(data))
    # Half of the accidents hit the header, which is a small part of the file.
    if rng.random() < 0.5:
        at = rng.randrange(min(300, len(data)))
    if kind == "bit":
        changed[at] ^= 1 << rng.randrange(8)
    elif kind == "byte":
        changed[at] = rng.randrange(256)
    elif kind == "zeros":
        changed[at : at + 16] = bytes(len(changed[at : at + 16]))
    elif kind == "truncate":
        del changed[at:]
    elif kind == "append":
        changed += rng.randbytes(rng.randrange(1, 9))
    elif kind == "cut out":
        del changed[at : at + rng.randrange(1, 9)]
    else:
        other = rng.randrange(len(data))
        changed[at], changed[other] = changed[other], changed[at]
    return kind, bytes(changed)


def test_a_mutated_file_never_loads_as_another_graph(tmp_path: Path) -> None:
    graph = random_graph(3, dtype=torch.float32)
    path = tmp_path / "graph"
    save_graph(graph, path)
    original, expected = path.read_bytes(), content(graph)
    refused = 0
    for seed in range(MUTATIONS):
        kind, data = mutate(original, random.Random(seed))
        path.write_bytes(data)
        try:
            loaded = content(load_graph(path))
        except DataFileError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert loaded == expected, f"seed {seed} ({kind}) loaded as another graph"
    # Some swaps and bytes change nothing.
    assert refused > 0.9 * MUTATIONS
    path.write_bytes(original)
    assert content(load_graph(path)) == expected


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=f"^cannot read a graph from {tmp_path / 'none'}: "):
        load_graph(tmp_path / "none")


def test_a_folder_is_no_graph(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="cannot read a graph from"):
        load_graph(tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "file" / "graph", tmp_path / "absent" / "graph", tmp_path / "folder"):
        with pytest.raises(DataFileError, match=f"^cannot write the graph to {target}: "):
            save_graph(random_graph(0), target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_another_safetensors_file_is_no_graph(tmp_path: Path) -> None:
    save_file({"edge_index": torch.zeros(2, 1).int()}, tmp_path / "other")
    with pytest.raises(DataFileError, match="is not a graph written by save_graph"):
        load_graph(tmp_path / "other")


EDGES = torch.tensor([[0, 1], [1, 0]], dtype=torch.int32)

FORGED = {
    "id outside": ({"edge_index": EDGES + 1}, {"num_rows": "2", "num_cols": "2"}, "is outside"),
    "no edges": ({"weight": torch.ones(2)}, {"num_rows": "2", "num_cols": "2"}, "'edge_index'"),
    "no size": ({"edge_index": EDGES}, {"num_rows": "2"}, "'num_cols'"),
    "size no number": ({"edge_index": EDGES}, {"num_rows": "2", "num_cols": "x"}, "'x'"),
    "float ids": ({"edge_index": EDGES.float()}, {"num_rows": "2", "num_cols": "2"}, "float32"),
    "weights": (
        {"edge_index": EDGES, "weight": torch.ones(3)},
        {"num_rows": "2", "num_cols": "2"},
        "weight must have shape",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_file_is_checked_like_any_input(name: str, tmp_path: Path) -> None:
    tensors, sizes, reason = FORGED[name]
    metadata = {"format": SEAL.format, **sizes}
    metadata["sha256"] = digest(tensors, metadata)
    save_file(tensors, tmp_path / "forged", metadata)
    with pytest.raises(DataFileError, match=f"forged does not hold a valid graph: .*{reason}"):
        load_graph(tmp_path / "forged")
