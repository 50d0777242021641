"""Milliseconds to sample a mini-batch, to load it with features, and to train on some.

The graph and its features are where the device is. On a GPU our sampler runs there and, for
comparison, on the CPU, from where a batch is copied; PyG's runs on the CPU, and is measured where
pyg-lib or torch-sparse is installed.
"""

import importlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neighborgraph.bench.graphs import GRAPHS, full_name
from neighborgraph.bench.measurement import Measurement
from neighborgraph.bench.timer import Timing, measure, wait
from neighborgraph.nn import accelerate

FANOUT = [15, 10, 5]
BATCH_SIZE = 1024
BATCHES = 20
TRAIN_BATCHES = {"cpu": 2, "cuda": BATCHES}
"""Batches that are trained on in one timed run."""
TRAININGS = 4
"""Runs of a training, of which the first is not timed."""
CHANNELS, HIDDEN, CLASSES = 100, 256, 47
"""Of products and the models for it."""
DEFAULT_GRAPHS = {"cpu": "products-tenth", "cuda": "products"}


@dataclass(frozen=True)
class Provider:
    """Who samples.

    Attributes:
        name: What the table says.
        loader: The loader of whole batches.
        device: Where it samples, and where features are.
    """

    name: str
    loader: Any
    device: torch.device

    @property
    def is_ours(self) -> bool:
        """Whether the sampler is this project's, whose users accelerate their model as well."""
        return self.name.startswith("ours")

    def sample(self, seeds: Tensor) -> object:
        """The neighbourhood of a batch, without features."""
        return self.loader.collate_fn(seeds)

    def load(self, seeds: Tensor) -> Any:
        """A whole batch."""
        return self.loader.filter_fn(self.loader.collate_fn(seeds))


def sampling_rows(
    graph: str, device: torch.device, seconds: float, *, peers: bool = True
) -> Iterator[Measurement]:
    """Times of sampling, loading and training, ours first; ratios are to ours.

    Args:
        graph: Name of a timing graph.
        device: Where the graph, the features and the model are.
        seconds: Spent on the timed runs of one row, about.
        peers: Whether PyG's sampler is measured, too.
    """
    name = full_name(graph)
    edge_index, (num_nodes, _) = GRAPHS[name](torch.Generator(device).manual_seed(0))
    providers = list(providers_of(edge_index, num_nodes, device, peers))
    order = torch.randperm(num_nodes, generator=torch.Generator().manual_seed(1))
    batches = list(order[: BATCHES * BATCH_SIZE].split(BATCH_SIZE))
    nodes, edges = sizes_of(providers[0].load(batches[0]))
    for stage, time_it in STAGES.items():
        ours = None
        for provider in providers:
            timing = time_it(provider, batches, device, seconds)
            ours = ours or timing.median_ms
            yield Measurement(
                op="sample",
                provider=provider.name,
                graph=name,
                nodes=num_nodes,
                edges=edge_index.shape[1],
                form="-".join(map(str, FANOUT)),
                dtype="float32",
                heads=0,
                width=0,
                stage=stage,
                timing=timing,
                ratio=timing.median_ms / ours,
                note=f"{BATCH_SIZE} seeds, {nodes:,} nodes, {edges:,} edges",
            )


def providers_of(
    edge_index: Tensor, num_nodes: int, device: torch.device, peers: bool
) -> Iterator[Provider]:
    """Ours on the device, ours on the CPU, and PyG's where it can sample."""
    # Imported here: PyG takes seconds, and only this benchmark needs it and what is built on it.
    from torch_geometric import typing
    from torch_geometric.data import Data
    from torch_geometric.loader import NeighborLoader as PygLoader

    OurLoader = importlib.import_module("neighborgraph.loader").NeighborLoader
    cpu = torch.device("cpu")
    generator = torch.Generator().manual_seed(2)
    data = Data(
        x=torch.randn(num_nodes, CHANNELS, generator=generator),
        y=torch.randint(CLASSES, (num_nodes,), generator=generator),
        edge_index=edge_index.cpu(),
    )
    options = {"num_neighbors": FANOUT, "batch_size": BATCH_SIZE, "filter_per_worker": False}
    if device.type != "cpu":
        yield Provider("ours", OurLoader(data.clone().to(device), **options, seed=0), device)
    name = "ours" if device.type == "cpu" else "ours, CPU"
    yield Provider(name, OurLoader(data, **options, seed=0), cpu)
    if peers and (typing.WITH_PYG_LIB or typing.WITH_TORCH_SPARSE):
        library = "pyg-lib" if typing.WITH_PYG_LIB else "torch-sparse"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using 'NeighborSampler' without a 'pyg-lib'")
            yield Provider(f"PyG, {library}", PygLoader(data, **options), cpu)


def sizes_of(batch: Any) -> tuple[int, int]:
    """Nodes and edges of a batch."""
    return batch.num_nodes, batch.num_edges


def time_calls(
    call: Callable[[Tensor], object],
    batches: Sequence[Tensor],
    device: torch.device,
    seconds: float,
) -> Timing:
    """Times of one function over batches in turn."""
    runs = [lambda seeds=seeds: call(seeds) for seeds in batches]
    return measure(runs, [{"device": torch.ones(1, device=device)}], seconds=seconds)


def time_sample(provider: Provider, batches, _, seconds: float) -> Timing:
    """Times of sampling alone."""
    return time_calls(provider.sample, batches, provider.device, seconds)


def time_load(provider: Provider, batches, device: torch.device, seconds: float) -> Timing:
    """Times of a batch with its features, on the device where they are wanted."""
    return time_calls(lambda seeds: provider.load(seeds).to(device), batches, device, seconds)


def time_train(provider: Provider, batches, device: torch.device, _) -> Timing:
    """Times of training a GraphSAGE for some batches, in milliseconds a batch."""
    from torch_geometric.nn import GraphSAGE

    torch.manual_seed(0)
    model = GraphSAGE(CHANNELS, HIDDEN, len(FANOUT), CLASSES).to(device)
    if provider.is_ours:
        accelerate(model)
    optimizer = torch.optim.Adam(model.parameters())
    times = []
    for _ in range(TRAININGS):
        begin = time.perf_counter()
        for seeds in batches[: TRAIN_BATCHES[device.type]]:
            batch = provider.load(seeds).to(device)
            # Each layer on the hops that the next one still asks for.
            hops = {
                "num_sampled_nodes_per_hop": batch.num_sampled_nodes,
                "num_sampled_edges_per_hop": batch.num_sampled_edges,
            }
            out = model(batch.x, batch.edge_index, **hops)
            loss = torch.nn.functional.cross_entropy(
                out[: batch.batch_size], batch.y[: batch.batch_size]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        wait(device)
        count = min(len(batches), TRAIN_BATCHES[device.type])
        times.append((time.perf_counter() - begin) * 1e3 / count)
    return Timing.of(times[1:])


STAGES = {
    "sample": time_sample,
    "sample + features": time_load,
    "sample + features + training": time_train,
}
"""What is timed."""
