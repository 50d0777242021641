"""One case measured: ours, who computes the same, the floor, and what a call costs the host."""

import gc
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from neighborgraph.bench.attention import Attention
from neighborgraph.bench.cases import DTYPES, Case
from neighborgraph.bench.graphs import graph_like
from neighborgraph.bench.measurement import Measurement
from neighborgraph.bench.peers import (
    TITLES,
    TOLERANCES,
    Function,
    Prepare,
    installed,
    largest_difference,
)
from neighborgraph.bench.timer import Run, Timing, measure, measure_host
from neighborgraph.errors import BackendUnavailable
from neighborgraph.graph import Graph

SETS = 3
"""Sets of inputs that runs on a GPU take in turn."""
SHARE_FOR_SETS = 8
"""All sets together may fill at most this part of the GPU's memory, else there is one."""
HOST_GRAPH = "cora-clustered"
"""Small enough that a GPU is done before the host has queued the next call."""
NOTE_WIDTH = 100
OUT_OF_MEMORY = "out of memory"

Outputs = Sequence[Tensor]
Stage = Callable[[Function, Mapping[str, Tensor], Tensor], Outputs]


def forward(function: Function, inputs: Mapping[str, Tensor], grad: Tensor) -> Outputs:
    """The output."""
    with torch.no_grad():
        return (function(**inputs),)


def forward_backward(function: Function, inputs: Mapping[str, Tensor], grad: Tensor) -> Outputs:
    """The gradients of the inputs that want one, and of a layer's parameters."""
    own = function.parameters() if isinstance(function, torch.nn.Module) else ()
    wanted = [tensor for tensor in inputs.values() if tensor.requires_grad]
    return torch.autograd.grad(function(**inputs), (*wanted, *own), grad)


STAGES: dict[str, Stage] = {"forward": forward, "forward+backward": forward_backward}


def measure_cases(
    cases: Sequence[Case],
    device: torch.device,
    peers: Collection[str],
    seconds: float,
    say: Callable[[str], None],
    done: Collection[Case] = (),
) -> Iterator[Measurement]:
    """The rows of all cases, each as soon as it is measured.

    Args:
        cases: A graph is made once for those that follow each other.
        device: Where.
        peers: Names from ``TITLES``; those that are not installed have rows in the first case only.
        seconds: Spent on the timed runs of one row, about.
        say: Is told what comes next.
        done: Cases that are left out because they, and the host's times, were measured before.
    """
    if not done and device.type == "cuda":
        # Before any peer: after torch.compile had run, calls took the host up to 3 times as long.
        small = graph_like(HOST_GRAPH, device)
        for case in dict.fromkeys(replace(case, graph=HOST_GRAPH) for case in cases):
            yield from Bench(case, small, seconds).host_rows()
    graph, name = None, ""
    for number, case in enumerate(cases, 1):
        if case in done:
            continue
        with memory_for(case):
            if graph is None or name != case.graph:
                graph = None  # the old graph goes before the new one comes
                release(device)
                graph, name = graph_like(case.graph, device), case.graph
            bench = Bench(case, graph, seconds)
        say(f"[{number}/{len(cases)}] {case}, {graph.num_edges:,} edges")
        yield from bench.rows(peers if number == 1 else installed(peers))
        del bench  # its inputs go before the next ones come


@contextmanager
def memory_for(case: Case) -> Iterator[None]:
    """Say of which case it is that the inputs alone are too large."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if reason(error) != OUT_OF_MEMORY:
            raise
        raise BackendUnavailable(
            f"{case}: the graph and the inputs do not fit in memory; choose a smaller graph, "
            "fewer heads or no edge vectors"
        ) from error


class Bench:
    """One case on its graph: its inputs, our answers, and the rows."""

    def __init__(self, case: Case, graph: Graph, seconds: float) -> None:
        """Make the inputs.

        Args:
            case: What to measure.
            graph: The graph that the case names.
            seconds: Spent on the timed runs of one row, about.
        """
        self.case = case
        self.graph = graph
        self.seconds = seconds
        self.form = case.parsed
        self.dtype = DTYPES[case.dtype]
        self.ours = self.form.ours(graph, self.dtype)
        self.ours_ms: dict[str, float] = {}
        generator = torch.Generator(graph.device).manual_seed(0)
        first = self.make_inputs(generator)
        size = sum(t.nbytes for t in (*first[0].values(), first[1]))
        count = set_count(size, graph.device)
        self.sets = [first, *(self.make_inputs(generator) for _ in range(count - 1))]

    def make_inputs(self, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
        """One set of inputs by name, and an incoming gradient."""
        heads, width = self.case.heads, self.case.width
        inputs = self.form.inputs(self.graph, self.dtype, heads, width, generator)
        shape = self.graph.num_rows, heads, width
        grad = torch.randn(shape, generator=generator, device=self.graph.device)
        return inputs, grad.to(self.dtype)

    def rows(self, peers: Collection[str]) -> Iterator[Measurement]:
        """Ours first, then the peers named, then the floor; last our backward's two operators."""
        on_gpu = self.graph.device.type == "cuda"
        known = self.form.peers()
        for name, stage in STAGES.items():
            yield self.row("ours", name, lambda stage=stage: self.time(stage, self.ours))
            for peer in (peer for peer in known if peer in peers):
                compare = partial(self.compare, stage, known[peer])
                yield self.row(TITLES[peer], name, compare)
            if stage is forward and on_gpu and "floor" in peers:
                floor = self.form.floor(self.graph, self.dtype)
                if floor is not None:
                    yield self.row("floor", name, lambda floor=floor: self.time(forward, floor))
        if on_gpu and isinstance(self.form, Attention) and "forward+backward" in self.ours_ms:
            inputs, grad = self.sets[0]
            for name, run in self.form.passes(self.graph, inputs, grad).items():
                yield self.row("ours", name, lambda run=run: self.time_pass(run))

    def host_rows(self) -> Iterator[Measurement]:
        """What one of our eager calls costs the host."""
        for name, stage in STAGES.items():
            run = partial(stage, self.ours, *self.sets[0])
            yield self.row("ours", f"host {name}", partial(measure_host, run, self.graph.device))

    def time(self, stage: Stage, function: Function) -> Timing:
        """One pass of a function over this case's sets of inputs."""
        runs = [partial(stage, function, *each) for each in self.sets]
        return measure(runs, self.tensors(), seconds=self.seconds)

    def time_pass(self, run: Run) -> Timing:
        """One operator of our backward pass."""
        return measure([run], self.tensors()[:1], seconds=self.seconds)

    def tensors(self) -> list[Mapping[str, Tensor]]:
        """All tensors of each set by name."""
        return [inputs | {"grad": grad} for inputs, grad in self.sets]

    def compare(self, stage: Stage, prepare: Prepare) -> Timing:
        """Time a peer whose answers are ours.

        Raises:
            BackendUnavailable: It is not installed, or computes something else.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a peer's warnings say nothing about us
            function = prepare(self.graph, self.dtype)
            if not self.form.is_random:
                # Of a layer's parameters only the first can count: some gradients are zero but for
                # rounding.
                count = sum(t.requires_grad for t in self.sets[0][0].values()) or 1
                answers = (stage(each, *self.sets[0])[:count] for each in (function, self.ours))
                difference = largest_difference(*answers)
                if not difference <= self.form.depth * TOLERANCES[self.dtype]:
                    raise BackendUnavailable(
                        f"not timed: its answer differs from ours by {difference:.1e}"
                    )
            return self.time(stage, function)

    def row(self, provider: str, stage: str, time: Callable[[], Timing]) -> Measurement:
        """A row with the times, or one that says why there are none.

        Whatever a peer does is a row; of our own failures only a lack of memory is.
        """
        timing, note = None, ""
        try:
            timing = time()
        except Exception as error:
            note = reason(error)
            if provider == "ours" and note != OUT_OF_MEMORY:
                raise
        # Outside of the handler, whose traceback held the tensors of the failed run.
        release(self.graph.device)
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
            note=note or self.note(provider, stage, timing),
        )

    def note(self, provider: str, stage: str, timing: Timing | None) -> str:
        """What to know of a time."""
        if stage.startswith("host") and timing is not None:
            return f"{timing.median_ms * 1e3:.1f} µs a call"
        if self.form.is_random and provider != "ours" and provider != "floor":
            return "random, so answers not compared"
        return ""


def reason(error: Exception) -> str:
    """A failure in a few words."""
    # Torch has a class for a GPU's allocator, and none for the CPU's.
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        "can't allocate memory" in str(error)
    ):
        return OUT_OF_MEMORY
    if isinstance(error, BackendUnavailable):
        return str(error)
    lines = str(error).strip().splitlines() or [""]
    return f"failed: {type(error).__name__}: {lines[0]}"[:NOTE_WIDTH]


def release(device: torch.device) -> None:
    """Give back what the last function left behind."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def set_count(size: int, device: torch.device) -> int:
    """How many sets of inputs of ``size`` bytes to make."""
    if device.type != "cuda":
        return 1
    memory = torch.cuda.get_device_properties(device).total_memory
    return SETS if SETS * size <= memory // SHARE_FOR_SETS else 1
