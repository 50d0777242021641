"""2,000 valid structures with one random fault planted in each: every one is refused by name."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from neighborgraph.errors import DeviceError, DtypeError, InputError
from neighborgraph.graph import Graph
from neighborgraph.testing import random_graph

CASES = 2000
Arguments = dict[str, Any]

OUTSIDE_INT32 = (2**31, 2**32, 2**40, 2**63 - 1, -(2**31) - 1, -(2**63))
NO_ID_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.bool, torch.float32, torch.float64)
NO_WEIGHT_DTYPES = (torch.int32, torch.int64, torch.bool, torch.complex64)


def bad_value(rng: random.Random, size: int) -> int:
    """An id outside [0, size)."""
    return rng.choice([size, size + rng.randrange(1, 100), -rng.randrange(1, 100), *OUTSIDE_INT32])


def random_edges(rng: random.Random) -> Arguments:
    """Valid arguments of from_edge_index."""
    sizes = rng.randrange(1, 30), rng.randrange(1, 30)
    num_edges = rng.randrange(1, 60)
    graph = random_graph(rng.randrange(2**31), *sizes, num_edges, dtype=torch.float32)
    return {
        "edge_index": graph.edge_index,
        "num_nodes": (graph.num_cols, graph.num_rows),
        "weight": rng.choice([None, graph.weight]),
    }


def random_csr(rng: random.Random) -> Arguments:
    """Valid arguments of from_csr."""
    graph = random_graph(rng.randrange(2**31), rng.randrange(1, 30), 20, rng.randrange(1, 60))
    weight = rng.choice([None, torch.ones(graph.num_edges)])
    return {
        "ptr": graph.rows.ptr.clone(),
        "idx": graph.rows.idx.long(),
        "num_cols": 20,
        "weight": weight,
    }


def plant_id(arguments: Arguments, rng: random.Random) -> str:
    if "idx" in arguments:
        ids, size, name = arguments["idx"], arguments["num_cols"], "idx"
    else:
        axis = rng.randrange(2)
        ids, size = arguments["edge_index"][axis], arguments["num_nodes"][axis]
        name = f"edge_index[{axis}]"
    position = rng.randrange(ids.numel())
    ids[position] = bad_value(rng, size)
    return f"{name}[{position}] = {int(ids[position])} is outside [0, {size})"


def plant_size(arguments: Arguments, rng: random.Random) -> str:
    name = "num_cols" if "idx" in arguments else "num_nodes"
    bad = rng.choice([-1, -(2**40), 2**31, 2**63, None, 2.5, "7", True, b"7", 1j])
    arguments[name] = bad
    return name


def plant_small_size(arguments: Arguments, rng: random.Random) -> str:
    """A size that the largest id, or the first beyond it, does not fit."""
    if "idx" in arguments:
        arguments["num_cols"] = rng.randrange(int(arguments["idx"].max()) + 1)
        return f"is outside [0, {arguments['num_cols']})"
    axis = rng.randrange(2)
    sizes = list(arguments["num_nodes"])
    sizes[axis] = rng.randrange(int(arguments["edge_index"][axis].max()) + 1)
    arguments["num_nodes"] = tuple(sizes)
    return f"edge_index[{axis}]["


def plant_pointer(arguments: Arguments, rng: random.Random) -> str:
    """One entry of the pointer that is not what it was: it falls, ends wrong, or starts wrong."""
    ptr, last = arguments["ptr"], arguments["ptr"].numel() - 1
    position = rng.choice([0, last, rng.randrange(last + 1)])
    low, high = int(ptr[max(position - 1, 0)]), int(ptr[min(position + 1, last)])
    if position in (0, last):
        value = rng.choice(
            [v for v in (-1, 1, high + 1, 2**40, -(2**63)) if v != int(ptr[position])]
        )
    else:
        value = rng.choice([low - 1, high + 1, -5, 2**40, 2**63 - 1])
    ptr[position] = value
    return "ptr["


def plant_length(arguments: Arguments, rng: random.Random) -> str:
    """Ids, pointer or weights that are one too short or too long."""
    names = [name for name in ("ptr", "idx", "weight") if arguments.get(name) is not None]
    if not names:
        return plant_shape(arguments, rng)
    name = rng.choice(names)
    tensor = arguments[name]
    if name == "ptr":
        # Without its last entry the pointer is still valid when the last row is empty.
        arguments[name] = tensor[1:] + 1 if rng.random() < 0.5 else tensor[:0]
        return "ptr"
    arguments[name] = tensor[:-1] if rng.random() < 0.5 else torch.cat([tensor, tensor[:1]])
    return "weight must have shape" if name == "weight" else "must equal the number of ids"


def plant_shape(arguments: Arguments, rng: random.Random) -> str:
    name = rng.choice(present(arguments))
    tensor = arguments[name]
    change: Callable[[Tensor], Tensor] = rng.choice(
        [lambda t: t[None], lambda t: t[..., None], lambda t: t.sum()]
    )
    arguments[name] = change(tensor)
    return f"{name} must have shape"


def plant_dtype(arguments: Arguments, rng: random.Random) -> str:
    name = rng.choice(present(arguments))
    arguments[name] = arguments[name].to(
        rng.choice(NO_WEIGHT_DTYPES if name == "weight" else NO_ID_DTYPES)
    )
    return f"{name} must be one of"


def plant_type(arguments: Arguments, rng: random.Random) -> str:
    name = rng.choice(present(arguments))
    tensor = arguments[name]
    arguments[name] = rng.choice([tensor.tolist(), tensor.numpy(), "ids", 3, {"ids": tensor}])
    return f"{name} must be a torch.Tensor"


def plant_place(arguments: Arguments, rng: random.Random) -> str:
    name = rng.choice(present(arguments))
    arguments[name] = arguments[name].to("meta")
    return f"{name} is on meta"


def present(arguments: Arguments) -> list[str]:
    return [name for name, value in arguments.items() if isinstance(value, Tensor)]


PLANTS: dict[str, Callable[[Arguments, random.Random], str]] = {
    "id": plant_id,
    "size": plant_size,
    "small size": plant_small_size,
    "pointer": plant_pointer,
    "length": plant_length,
    "shape": plant_shape,
    "dtype": plant_dtype,
    "type": plant_type,
    "place": plant_place,
}


def corrupt(seed: int) -> tuple[Callable[..., Graph], Arguments, Arguments, str, str]:
    """A constructor, valid arguments, those with one fault, the fault, and the error's words."""
    rng = random.Random(seed)
    build, make = rng.choice([(Graph.from_edge_index, random_edges), (Graph.from_csr, random_csr)])
    good = make(rng)
    bad = {name: v.clone() if isinstance(v, Tensor) else v for name, v in good.items()}
    fault = rng.choice([name for name in PLANTS if name != "pointer" or "ptr" in bad])
    words = PLANTS[fault](bad, rng)
    return build, good, bad, fault, words


@pytest.mark.parametrize("part", range(4))
def test_every_corrupt_structure_is_refused_by_name(part: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(part * CASES // 4, (part + 1) * CASES // 4):
        build, good, bad, fault, words = corrupt(seed)
        with pytest.raises((InputError, DtypeError, DeviceError)) as caught:
            build(**bad)
        assert words in str(caught.value), f"seed {seed}, {fault}: {caught.value}"
        size = good["idx"].numel() if "idx" in good else good["edge_index"].shape[1]
        assert build(**good).num_edges == size, f"seed {seed}: no good graph after a bad one"
        seen[fault] += 1
    assert set(seen) == set(PLANTS)
    assert sum(seen.values()) == CASES // 4


@pytest.mark.cuda
def test_corrupt_structures_leave_the_gpu_usable() -> None:
    refused = 0
    for seed in range(300):
        build, _, bad, fault, words = corrupt(seed)
        if fault in ("type", "place"):
            continue
        on_gpu = {name: v.cuda() if isinstance(v, Tensor) else v for name, v in bad.items()}
        with pytest.raises((InputError, DtypeError, DeviceError)) as caught:
            build(**on_gpu)
        assert words in str(caught.value)
        refused += 1
        torch.cuda.synchronize()
    assert refused > 150
    assert random_graph(0).to("cuda").degree.sum().item() == 60
