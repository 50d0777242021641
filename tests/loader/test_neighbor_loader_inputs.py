"""What NeighborLoader refuses, before it samples anything."""

from typing import Any

import pytest
import torch
from torch_geometric.data import Data

from neighborgraph.errors import DtypeError, InputError
from neighborgraph.loader import NeighborLoader


def good() -> Any:
    return Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), x=torch.zeros(5, 1))


def with_edges(**values) -> Any:
    data = good()
    for name, value in values.items():
        data[name] = value
    return data


Loader: Any = NeighborLoader  # which is given what its signature does not allow
REFUSED: dict[str, Any] = {
    "seed too large": (lambda: Loader(good(), [1], torch.tensor([0, 5])), InputError, "5"),
    "negative seed": (lambda: Loader(good(), [1], torch.tensor([-1])), InputError, "-1"),
    "short mask": (
        lambda: Loader(good(), [1], torch.ones(4, dtype=torch.bool)),
        InputError,
        r"shape \[5\]",
    ),
    "float seeds": (lambda: Loader(good(), [1], torch.rand(5)), DtypeError, "input_nodes"),
    "count -2": (lambda: Loader(good(), [3, -2]), InputError, r"num_neighbors\[1\] = -2"),
    "count 1.5": (lambda: Loader(good(), [1.5]), DtypeError, "1.5"),
    "count None": (lambda: Loader(good(), [None]), DtypeError, "None"),
    "count 10^12": (lambda: Loader(good(), [10**12]), InputError, "2147483647"),
    "no hops": (lambda: Loader(good(), []), InputError, "0 hops"),
    "too many hops": (lambda: Loader(good(), [1] * 256), InputError, "256 hops"),
    "no list": (lambda: Loader(good(), 5), DtypeError, "list of ints"),
    "too many edges": (
        lambda: Loader(good(), [10**4, 10**4], replace=True, batch_size=100),
        InputError,
        r"1e\+10",
    ),
    "batch size 0": (lambda: Loader(good(), [1], batch_size=0), InputError, "at least 1"),
    "batch size -1": (lambda: Loader(good(), [1], batch_size=-1), InputError, "at least"),
    "negative weight": (
        lambda: Loader(with_edges(w=torch.tensor([1.0, -1, 1])), [1], weight_attr="w"),
        InputError,
        r"\[1\] = -1.0",
    ),
    "NaN weight": (
        lambda: Loader(with_edges(w=torch.tensor([1, 1, torch.nan])), [1], weight_attr="w"),
        InputError,
        r"\[2\] = nan",
    ),
    "nothing but zero weights": (
        lambda: Loader(with_edges(w=torch.tensor([1.0, 0, 1])), [1], weight_attr="w", replace=True),
        InputError,
        "node 2 have weight zero",
    ),
    "no such weights": (lambda: Loader(good(), [1], weight_attr="w"), InputError, "'w'"),
    "no such times": (lambda: Loader(good(), [1], time_attr="t"), InputError, "'t'"),
    "float32 times": (
        lambda: Loader(with_edges(t=torch.rand(3)), [1], time_attr="t"),
        DtypeError,
        "int64, float64",
    ),
    "NaN time": (
        lambda: Loader(with_edges(t=torch.tensor([0, torch.nan, 1]).double()), [1], time_attr="t"),
        InputError,
        r"\[1\] is NaN",
    ),
    "no times of seeds": (
        lambda: Loader(with_edges(t=torch.arange(3)), [1], time_attr="t"),
        InputError,
        "input_time",
    ),
    "times of seeds without times": (
        lambda: Loader(good(), [1], input_time=torch.zeros(5, dtype=torch.int64)),
        InputError,
        "time_attr is not",
    ),
    "times of another type": (
        lambda: Loader(
            with_edges(t=torch.arange(3)), [1], time_attr="t", input_time=torch.zeros(5).double()
        ),
        DtypeError,
        "float64",
    ),
    "too few times of seeds": (
        lambda: Loader(
            with_edges(t=torch.arange(3)), [1], time_attr="t", input_time=torch.arange(4)
        ),
        InputError,
        "input_time must have shape",
    ),
    "strategy": (
        lambda: Loader(good(), [1], temporal_strategy="lasst"),
        InputError,
        "did you mean 'last'",
    ),
    "rule": (lambda: Loader(good(), [1], temporal_rule="<"), InputError, "before, until"),
    "edge to nowhere": (
        lambda: Loader(with_edges(edge_index=torch.tensor([[0], [5]])), [1]),
        InputError,
        "outside",
    ),
    "another sampler": (
        lambda: Loader(good(), [1], neighbor_sampler=object()),
        DtypeError,
        "NeighborSampler",
    ),
    "seed 2^64": (lambda: Loader(good(), [1], seed=2**64), InputError, "64 bits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()
