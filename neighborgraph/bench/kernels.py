"""Our operators beside their peers: time, spread and memory, as a table and as JSON lines.

``python -m neighborgraph.bench.kernels attend aggregate --device cpu``
"""

import argparse
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from neighborgraph.bench.command import expect_device, run_command
from neighborgraph.bench.graphs import Shape, graph_like
from neighborgraph.bench.measurement import (
    Circumstances,
    Measurement,
    page,
    table,
    write_records,
    write_text,
)
from neighborgraph.bench.peers import (
    OURS,
    PEERS,
    TOLERANCES,
    Function,
    Peer,
    attend_floor,
    largest_difference,
)
from neighborgraph.bench.timer import Timing, measure
from neighborgraph.errors import BackendUnavailable, ConfigError
from neighborgraph.graph import Graph
from neighborgraph.ops.attend.op import attend_forward, attend_grad_kv, attend_grad_q, default_scale

DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in TOLERANCES}
SECONDS = 2.0
"""Spent on the timed runs of one row, about."""


@dataclass(frozen=True)
class Case:
    """One operator on one graph with features [nodes, heads, width]."""

    op: str
    graph: str
    dtype: str
    heads: int
    width: int

    def features(self, graph: Graph) -> tuple[dict[str, Tensor], Tensor]:
        """Standard normal inputs by name, and an incoming gradient."""
        generator = torch.Generator(graph.device).manual_seed(0)

        def randn(nodes: int) -> Tensor:
            shape = nodes, self.heads, self.width
            wide = torch.randn(shape, generator=generator, device=graph.device)
            return wide.to(DTYPES[self.dtype])

        sizes = {"x": graph.num_cols}
        if self.op == "attend":
            sizes = {"q": graph.num_rows, "k": graph.num_cols, "v": graph.num_cols}
        inputs = {name: randn(nodes).requires_grad_() for name, nodes in sizes.items()}
        return inputs, randn(graph.num_rows)


DEFAULT_CASES = {
    "cpu": [
        Case("attend", "power-law-clustered", "float32", 4, 16),
        Case("aggregate", "power-law-clustered", "float32", 4, 16),
    ],
    "cuda": [
        Case("attend", "arxiv-clustered", "float16", 1, 128),
        Case("attend", "reddit-clustered", "float16", 1, 128),
        Case("attend", "reddit-random", "float16", 1, 128),
        Case("attend", "products-clustered", "float16", 1, 128),
        Case("attend", "products-clustered", "float16", 1, 64),
        Case("attend", "products-random", "float16", 1, 128),
        Case("aggregate", "arxiv-clustered", "float32", 1, 64),
        Case("aggregate", "reddit-clustered", "float32", 1, 64),
        Case("aggregate", "products-clustered", "float32", 1, 64),
    ],
}


class Bench:
    """One case on its graph: its inputs, our answers, and the rows."""

    def __init__(self, case: Case, graph: Graph) -> None:
        self.case = case
        self.graph = graph
        self.inputs, self.grad = case.features(graph)
        self.ours_ms: dict[str, float] = {}

    def forward(self, function: Function) -> Sequence[Tensor]:
        """The output."""
        with torch.no_grad():
            return (function(*self.inputs.values()),)

    def forward_backward(self, function: Function) -> Sequence[Tensor]:
        """The gradients of all inputs."""
        out = function(*self.inputs.values())
        return torch.autograd.grad(out, tuple(self.inputs.values()), self.grad)

    def rows(self, with_peers: bool) -> Iterator[Measurement]:
        """Ours first, then who computes the same, then the floor."""
        dtype = DTYPES[self.case.dtype]
        ours = OURS[self.case.op](self.graph, dtype)
        peers = PEERS[self.case.op] if with_peers else {}
        for stage, run in (("forward", self.forward), ("forward+backward", self.forward_backward)):
            yield self.row("ours", stage, partial(self.time, partial(run, ours)))
            for name, peer in peers.items():
                yield self.row(
                    name, stage, lambda run=run, peer=peer: self.compare(run, ours, peer)
                )
        if self.case.op == "attend" and self.graph.device.type == "cuda":
            yield from self.backward_rows()
            if with_peers:
                floor = attend_floor(self.graph, dtype)
                yield self.row("floor", "forward", partial(self.time, partial(self.forward, floor)))

    def backward_rows(self) -> Iterator[Measurement]:
        """The two operators of attend's backward, each alone."""
        rows, cols = list(self.graph.rows), list(self.graph.expect_cols("a backward pass"))
        q, k, v = (tensor.detach() for tensor in self.inputs.values())
        scale = default_scale(self.case.width)
        out, lse, state = attend_forward(rows, q, k, v, scale)
        grad_lse = torch.zeros_like(lse)
        grad_q = partial(attend_grad_q, rows, q, k, v, out, state, self.grad, grad_lse, scale)
        _, stats = grad_q()
        yield self.row("ours", "grad q", partial(self.time, grad_q))
        grad_kv = partial(attend_grad_kv, cols, q, k, v, stats, self.grad, scale)
        yield self.row("ours", "grad k, v", partial(self.time, grad_kv))

    def time(self, run: Callable[[], object]) -> Timing:
        """One timing of a run over this case's inputs."""
        return measure(run, self.inputs | {"grad": self.grad}, seconds=SECONDS)

    def compare(
        self, run: Callable[[Function], Sequence[Tensor]], ours: Function, peer: Peer
    ) -> Timing:
        """Time a peer whose answers are ours.

        Raises:
            BackendUnavailable: It is not installed, or computes something else.
        """
        dtype = DTYPES[self.case.dtype]
        function = peer(self.graph, dtype)
        difference = largest_difference(run(function), run(ours))
        if not difference <= TOLERANCES[dtype]:
            raise BackendUnavailable(f"not timed: its answer differs from ours by {difference:.1e}")
        return self.time(lambda: run(function))

    def row(self, provider: str, stage: str, time: Callable[[], Timing]) -> Measurement:
        """A row with the times, or one that says why there are none."""
        timing, note = None, ""
        try:
            timing = time()
        except BackendUnavailable as error:
            if provider == "ours":
                raise
            note = str(error)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            note = "out of memory"
        # Outside of the handler, whose traceback held the tensors of the failed run.
        gc.collect()
        if self.graph.device.type == "cuda":
            torch.cuda.empty_cache()
        if timing is not None and provider == "ours":
            self.ours_ms[stage] = timing.median_ms
        ours_ms = self.ours_ms.get(stage)
        return Measurement(
            **vars(self.case),
            provider=provider,
            nodes=self.graph.num_rows,
            edges=self.graph.num_edges,
            stage=stage,
            timing=timing,
            ratio=timing.median_ms / ours_ms if timing and ours_ms else None,
            note=note,
        )


def is_out_of_memory(error: Exception) -> bool:
    """Whether a GPU's or the CPU's allocator gave up; Torch has a class for the first only."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        "can't allocate memory" in str(error)
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "ops", nargs="+", choices=tuple(OURS), metavar="OP", help="attend, aggregate"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--graphs", nargs="+", metavar="NAME", help="such as reddit-random")
    parser.add_argument("--dtype", choices=tuple(DTYPES), help="of the features")
    parser.add_argument("--heads", type=int, help="heads H of the features [nodes, H, D]")
    parser.add_argument("--width", type=int, help="channels D of a head")
    parser.add_argument("--only-ours", action="store_true", help="no peers and no floor")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write one record a row")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table as a page")


def chosen_cases(options: argparse.Namespace) -> list[Case]:
    """The device's default cases with what was typed put in, those of one graph together."""
    device = torch.device(options.device)
    cases = [case for case in DEFAULT_CASES[device.type] if case.op in options.ops]
    if options.graphs:
        names = [str(Shape.parse(name)) for name in options.graphs]
        cases = [replace(case, graph=name) for name in names for case in cases]
    typed = {name: getattr(options, name) for name in ("dtype", "heads", "width")}
    typed = {name: value for name, value in typed.items() if value is not None}
    for name in ("heads", "width"):
        if typed.get(name, 1) < 1:
            raise ConfigError(f"--{name} {typed[name]} must be at least 1")
    cases = list(dict.fromkeys(replace(case, **typed) for case in cases))
    order = list(dict.fromkeys(case.graph for case in cases))
    return sorted(cases, key=lambda case: order.index(case.graph))


def run_cases(cases: Sequence[Case], device: torch.device, with_peers: bool) -> list[Measurement]:
    """The rows of all cases; a graph is made once for the cases that follow each other."""
    rows, graph, name = [], None, ""
    for case in cases:
        if graph is None or name != case.graph:
            graph = None  # the old graph goes before the new one comes
            graph, name = graph_like(case.graph, device), case.graph
        print(f"measuring {case.op} on {case.graph}, {graph.num_edges:,} edges", file=sys.stderr)
        rows.extend(Bench(case, graph).rows(with_peers))
    return rows


def command(options: argparse.Namespace) -> int:
    """Measure, print the table, and write what was asked for."""
    device = expect_device(options.device)
    circumstances = Circumstances.of(device)
    for path in filter(None, (options.json, options.markdown)):
        write_text(path, "")  # an unwritable place is found before minutes are spent
    rows = run_cases(chosen_cases(options), device, not options.only_ours)
    print(table(rows))
    if options.json:
        write_records(options.json, rows, circumstances)
    if options.markdown:
        record = options.json.name if options.json else ""
        write_text(options.markdown, page(rows, circumstances, record))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser("neighborgraph.bench.kernels", description=__doc__)
    return run_command(parser, configure, command, arguments)


if __name__ == "__main__":
    sys.exit(main())
