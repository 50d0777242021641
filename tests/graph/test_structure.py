"""Every structural fault is refused with its argument, position, value and allowed range.

The names in the tables are the rows of the list of bad inputs that the faults come from.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from neighborgraph.errors import DeviceError, DtypeError, InputError
from neighborgraph.graph import Graph
from neighborgraph.graph.structure import MAX_ID, expect_size, expect_sizes

GOOD = [[0, 1, 2, 3], [1, 1, 0, 2]]
PTR = [0, 1, 3, 4]
IDX = [2, 0, 1, 3]


def edges(*, position: int = 2, source: int | None = None, receiver: int | None = None) -> Tensor:
    """GOOD with one id changed."""
    edge_index = torch.tensor(GOOD)
    if source is not None:
        edge_index[0, position] = source
    if receiver is not None:
        edge_index[1, position] = receiver
    return edge_index


def huge(*shape: int, dtype: torch.dtype = torch.int32) -> Tensor:
    """A tensor of this shape that takes the memory of one element."""
    return torch.zeros((1,) * len(shape), dtype=dtype).expand(shape)


def good_graph_builds(device: str) -> None:
    """After a refusal, the process and its device context are as good as before."""
    graph = Graph.from_edge_index(torch.tensor(GOOD, device=device), 4)
    assert graph.degree.tolist() == [1, 2, 1, 0]
    assert graph.edge_index.tolist() == GOOD


OUTSIDE = r" is outside \[0, 4\); correct the id or pass a larger num_nodes"

BAD_EDGE_INDEX = {
    "R17 transposed": (edges().t(), InputError, r"edge_index .*\[2, e\], got \[4, 2\].*\.t\(\)"),
    "R18 three axes": (edges()[None], InputError, r"edge_index .*\[2, e\].*got \[1, 2, 4\]"),
    "R18 one axis": (edges()[0], InputError, r"edge_index .*\[2, e\].*got \[4\]"),
    "R18 scalar": (torch.tensor(3), InputError, r"edge_index .*\[2, e\].*got \[\]"),
    "R18 three rows": (huge(3, 5), InputError, r"edge_index .*\[2, e\].*got \[3, 5\]"),
    "R19 source = M": (edges(source=4), InputError, r"edge_index\[0\]\[2\] = 4" + OUTSIDE),
    "R19 receiver = N": (edges(receiver=4), InputError, r"edge_index\[1\]\[2\] = 4" + OUTSIDE),
    "R20 negative source": (edges(source=-1), InputError, r"edge_index\[0\]\[2\] = -1" + OUTSIDE),
    "R20 negative receiver": (
        edges(receiver=-1, position=0),
        InputError,
        r"edge_index\[1\]\[0\] = -1" + OUTSIDE,
    ),
    "R21 2^31": (edges(source=2**31), InputError, r"\[0\]\[2\] = 2147483648" + OUTSIDE),
    "R21 2^32": (edges(receiver=2**32), InputError, r"\[1\]\[2\] = 4294967296" + OUTSIDE),
    "R21 2^63 - 1": (edges(source=2**63 - 1), InputError, rf"= {2**63 - 1}" + OUTSIDE),
    "R21 -2^63": (edges(receiver=-(2**63)), InputError, rf"= {-(2**63)}" + OUTSIDE),
    "R22 uint8": (edges().byte(), DtypeError, r"edge_index .*int32, int64, got uint8; .*\.to\("),
    "R22 int16": (edges().short(), DtypeError, r"edge_index .*int32, int64, got int16; .*\.to\("),
    "R22 int8": (edges().char(), DtypeError, r"edge_index .*int32, int64, got int8; .*\.to\("),
    "R23 float32": (edges().float(), DtypeError, r"edge_index .*got float32"),
    "R24 bool": (edges().bool(), DtypeError, r"edge_index .*got bool"),
    "R32 2^31 edges": (huge(2, 2**31), InputError, rf"edge_index holds {2**31} edges, .* {MAX_ID}"),
    "a list": (GOOD, DtypeError, r"edge_index must be a torch.Tensor, got list"),
    "None": (None, DtypeError, r"edge_index must be a torch.Tensor, got NoneType"),
    "sparse": (edges().to_sparse(), DtypeError, r"edge_index .*dense.*sparse_coo; .*as_graph"),
    "no memory": (edges().to("meta"), DeviceError, r"edge_index is on meta, .*put it on cpu"),
}


@pytest.mark.parametrize("row", BAD_EDGE_INDEX)
def test_bad_edge_index_is_refused(row: str, device: str) -> None:
    edge_index, error, message = BAD_EDGE_INDEX[row]
    if isinstance(edge_index, Tensor) and not edge_index.is_meta and edge_index.numel() < 100:
        edge_index = edge_index.to(device)
    with pytest.raises(error, match=message):
        Graph.from_edge_index(edge_index, 4)
    good_graph_builds(device)


BAD_NUM_NODES = {
    "R25 above int32": (2**31, InputError, rf"num_nodes = 2147483648 is outside \[0, {MAX_ID}\]"),
    "R25 pair above int32": ((4, 2**31), InputError, r"num_nodes = 2147483648 is outside"),
    "R35 not given": (None, DtypeError, r"num_nodes must be an int or a pair.*got None"),
    "R36 too small": (3, InputError, r"edge_index\[0\]\[3\] = 3 is outside \[0, 3\)"),
    "R36 no sources": ((0, 4), InputError, r"edge_index\[0\]\[0\] = 0 is outside \[0, 0\)"),
    "R36 too few receivers": ((4, 2), InputError, r"edge_index\[1\]\[3\] = 2 is outside \[0, 2\)"),
    "negative": (-1, InputError, r"num_nodes = -1 is outside \[0, "),
    "negative in a pair": ((-1, 4), InputError, r"num_nodes = -1 is outside \[0, "),
    "float": (4.0, DtypeError, r"num_nodes must be an int .*got 4.0"),
    "float in a pair": ((4, 4.0), DtypeError, r"num_nodes must be .*got \(4, 4.0\)"),
    "bool": (True, DtypeError, r"num_nodes must be .*got True"),
    "three": ((4, 4, 4), DtypeError, r"a pair \(sources, receivers\), got \(4, 4, 4\)"),
    "text": ("44", DtypeError, r"num_nodes must be .*got '44'"),
    "tensor": (torch.tensor(4), DtypeError, r"num_nodes must be .*got tensor\(4\)"),
}


@pytest.mark.parametrize("row", BAD_NUM_NODES)
def test_bad_num_nodes_is_refused(row: str) -> None:
    num_nodes, error, message = BAD_NUM_NODES[row]
    with pytest.raises(error, match=message):
        Graph.from_edge_index(edges(), num_nodes)
    good_graph_builds("cpu")


def test_the_largest_sizes_are_those_of_int32() -> None:
    assert expect_sizes(2**31 - 1) == (MAX_ID, MAX_ID)
    assert expect_sizes([0, MAX_ID]) == (0, MAX_ID)  # pyright: ignore
    with pytest.raises(InputError, match=r"num_cols = 2147483648 is outside \[0, 2147483647\]"):
        expect_size("num_cols", 2**31)


def test_required_number_of_nodes_has_no_default() -> None:
    with pytest.raises(TypeError, match="num_nodes"):
        Graph.from_edge_index(edges())  # pyright: ignore


BAD_CSR: dict[str, tuple[Any, Any, Any, type[Exception], str]] = {
    "R19 id = M": (PTR, [2, 0, 1, 4], 4, InputError, r"idx\[3\] = 4 is outside \[0, 4\).*num_cols"),
    "R20 id = -1": (PTR, [2, -1, 1, 3], 4, InputError, r"idx\[1\] = -1 is outside \[0, 4\)"),
    "R21 2^63 - 1": (PTR, [2, 0, 2**63 - 1, 3], 4, InputError, rf"idx\[2\] = {2**63 - 1} is"),
    "R25 num_cols": (PTR, IDX, 2**31, InputError, rf"num_cols = {2**31} is outside \[0, {MAX_ID}"),
    "R26 not from 0": ([1, 1, 3, 4], IDX, 4, InputError, r"ptr\[0\] = 1, it must be 0"),
    "R26 negative": ([-1, 1, 3, 4], IDX, 4, InputError, r"ptr\[0\] = -1, it must be 0"),
    "R27 ends early": ([0, 1, 3, 3], IDX, 4, InputError, r"ptr\[3\] = 3 must equal .* ids, 4"),
    "R28 ends late": ([0, 1, 3, 5], IDX, 4, InputError, r"ptr\[3\] = 5 must equal .* ids, 4"),
    "R28 far": ([0, 1, 3, 2**40], IDX, 4, InputError, rf"ptr\[3\] = {2**40} must equal"),
    "R29 decreasing": ([0, 3, 1, 4], IDX, 4, InputError, r"ptr\[2\] = 1 is below ptr\[1\] = 3"),
    "R29 at its end": ([0, 1, 6, 4], IDX, 4, InputError, r"ptr\[3\] = 4 is below ptr\[2\] = 6"),
    "R30 length N": ([0, 1, 3], IDX, 4, InputError, r"ptr\[2\] = 3 .*\(n \+ 1 of them\) missing\?"),
    "R31 empty": (huge(0), IDX, 4, InputError, r"ptr is empty; .* n \+ 1 entries"),
    "R32 edges": ([0, 1], huge(2**31), 4, InputError, rf"idx holds {2**31} edges, .* {MAX_ID}"),
    "R25 rows": (huge(2**31 + 1), [], 4, InputError, r"rows in ptr = 2147483648 is outside \[0, "),
    "R22 ptr int16": (torch.tensor(PTR).short(), IDX, 4, DtypeError, r"ptr .*got int16"),
    "R22 idx uint8": (PTR, torch.tensor(IDX).byte(), 4, DtypeError, r"idx .*got uint8"),
    "R23 ptr float": ([0.0, 1.0, 3.0, 4.0], IDX, 4, DtypeError, r"ptr .*got float32"),
    "R23 idx float": (PTR, [2.0, 0.0, 1.0, 3.0], 4, DtypeError, r"idx .*got float32"),
    "R24 bool": (PTR, torch.tensor(IDX).bool(), 4, DtypeError, r"idx .*got bool"),
    "ptr two axes": ([PTR], IDX, 4, InputError, r"ptr must have shape \[n \+ 1\], got \[1, 4\]"),
    "idx two axes": (PTR, [IDX], 4, InputError, r"idx must have shape \[e\], got \[1, 4\]"),
    "ptr None": (None, IDX, 4, DtypeError, r"ptr must be a torch.Tensor, got NoneType"),
    "idx None": (PTR, None, 4, DtypeError, r"idx must be a torch.Tensor, got NoneType"),
    "ptr on meta": (torch.tensor(PTR).to("meta"), IDX, 4, DeviceError, r"ptr is on meta"),
    "num_cols None": (PTR, IDX, None, DtypeError, r"num_cols must be an int, got None"),
    "num_cols pair": (PTR, IDX, (4, 3), DtypeError, r"num_cols must be an int, got \(4, 3\)"),
    "num_cols -1": (PTR, IDX, -1, InputError, r"num_cols = -1 is outside \[0, "),
    "R36 num_cols small": (PTR, IDX, 3, InputError, r"idx\[3\] = 3 is outside \[0, 3\).*num_cols"),
}


def as_ids(values: Any, device: str) -> Any:
    """Numbers as a tensor on ``device``; what is no list, and huge tensors, as they are."""
    if isinstance(values, list):
        dtype = None if values else torch.int64
        return torch.tensor(values, dtype=dtype, device=device)
    if isinstance(values, Tensor) and not values.is_meta and values.numel() < 100:
        return values.to(device)
    return values


@pytest.mark.parametrize("row", BAD_CSR)
def test_bad_csr_is_refused(row: str, device: str) -> None:
    ptr, idx, num_cols, error, message = BAD_CSR[row]
    is_huge = any(isinstance(t, Tensor) and t.numel() > 100 for t in (ptr, idx))
    where = "cpu" if is_huge else device
    with pytest.raises(error, match=message):
        Graph.from_csr(as_ids(ptr, where), as_ids(idx, where), num_cols)
    good_graph_builds(device)


BAD_WEIGHT = {
    "R16 too short": (torch.ones(3), InputError, r"weight .*\[4\] \(one weight per edge\).*\[3\]"),
    "too long": (torch.ones(5), InputError, r"weight must have shape \[4\].*got \[5\]"),
    "a column": (torch.ones(4, 1), InputError, r"weight must have shape \[4\].*got \[4, 1\]"),
    "a number": (torch.tensor(1.0), InputError, r"weight must have shape \[4\].*got \[\]"),
    "integer": (torch.ones(4).int(), DtypeError, r"weight must be one of float64.*got int32"),
    "complex": (torch.ones(4) + 1j, DtypeError, r"weight must be one of .*got complex64"),
    "a list": ([1.0] * 4, DtypeError, r"weight must be a torch.Tensor, got list"),
    "sparse": (torch.ones(4).to_sparse(), DtypeError, r"weight must be a dense tensor"),
    "no memory": (torch.ones(4, device="meta"), DeviceError, r"weight is on meta"),
}


@pytest.mark.parametrize("row", BAD_WEIGHT)
def test_bad_weight_is_refused(row: str) -> None:
    weight, error, message = BAD_WEIGHT[row]
    with pytest.raises(error, match=message):
        Graph.from_edge_index(edges(), 4, weight=weight)
    with pytest.raises(error, match=message):
        Graph.from_csr(torch.tensor(PTR), torch.tensor(IDX), 4, weight=weight)
    good_graph_builds("cpu")


@pytest.mark.cuda
def test_tensors_on_different_devices_are_refused() -> None:
    ptr, idx, weight = torch.tensor(PTR), torch.tensor(IDX), torch.ones(4)
    with pytest.raises(DeviceError, match=r"ptr is on cpu but idx is on cuda:0; move one"):
        Graph.from_csr(ptr, idx.cuda(), 4)
    with pytest.raises(DeviceError, match=r"idx is on cuda:0 but weight is on cpu"):
        Graph.from_csr(ptr.cuda(), idx.cuda(), 4, weight=weight)
    with pytest.raises(DeviceError, match=r"edge_index is on cpu but weight is on cuda:0"):
        Graph.from_edge_index(edges(), 4, weight=weight.cuda())
    good_graph_builds("cuda")


def test_a_square_edge_index_of_two_edges_is_taken_as_it_is() -> None:
    graph = Graph.from_edge_index(torch.tensor([[0, 1], [2, 2]]), 3)
    assert graph.degree.tolist() == [0, 0, 2]
