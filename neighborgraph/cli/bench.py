"""Time operators beside their peers, and print one table."""

import argparse
import signal
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from neighborgraph.bench import largegt
from neighborgraph.bench.build import FEWEST_EDGES, build_rows
from neighborgraph.bench.cases import OPERATORS, PARSERS, Case, chosen_cases
from neighborgraph.bench.curve import draw_over_events
from neighborgraph.bench.kernels import measure_cases
from neighborgraph.bench.long_stream import chosen_long_streams, long_stream_rows
from neighborgraph.bench.measurement import (
    Circumstances,
    Measurement,
    append_record,
    figure,
    page,
    table,
    write_text,
)
from neighborgraph.bench.neighbor_cache import chosen_streams, neighbor_cache_rows
from neighborgraph.bench.peers import TITLES
from neighborgraph.bench.plot import draw, expect_matplotlib
from neighborgraph.bench.ranking import chosen_catalogues, ranking_rows
from neighborgraph.bench.recommend import recommend_rows
from neighborgraph.bench.reorder import DEFAULT_GRAPHS as REORDERED
from neighborgraph.bench.reorder import reorder_rows
from neighborgraph.bench.resume import OPTION, cut_back, finished_cases
from neighborgraph.bench.sampling import DEFAULT_GRAPHS, sampling_rows
from neighborgraph.bench.stream import stream_rows
from neighborgraph.checks import nearest
from neighborgraph.cli.device import choose_device
from neighborgraph.errors import ConfigError
from neighborgraph.tasks.interrupt import Stopped

OPS = (
    *(*PARSERS, "build", "reorder", "largegt", "long_stream", "neighbor_cache"),
    *("sample", "recommend", "stream", "topk"),
)
DEFAULT_EDGES = 1_000_000

EPILOG = """\
Without --graphs, --scores, --reductions, --layers, --models, --dtypes and --heads, the default
cases of what is named are measured. On a GPU: every score and reduction and four shapes on
arxiv-clustered, the mesh, skewed beside uniform, Cora, Gowalla, and reddit and products (float16
attend, float32 aggregate). On a CPU: every score and reduction on power-law-clustered (float32,
4x16). Layers, on both: whole graphs, and mini-batches whose edges are new in each run (+fresh), in
float32. Models, on both: whole graphs, 128 features and 40 classes, in float32; on a GPU also DAGNN
and GAT on products. With any of those options, every combination of what was typed is measured;
what was not typed is then
  on a GPU   --graphs arxiv-clustered --scores dot --dtypes float16 --heads 4x32   (attend)
             --graphs arxiv-clustered --reductions sum --dtypes float32 --heads 1x64
             --graphs arxiv-clustered --layers TransformerConv --dtypes float32
             --graphs arxiv-clustered --models DAGNN --dtypes float32
  on a CPU   --graphs power-law-clustered --dtypes float32 --heads 4x16, the same forms
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``neighborgraph bench``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add = parser.add_argument
    ops = "attend, aggregate (default: both), layers, models, build, neighbor_cache, sample, ..."
    add("ops", nargs="*", metavar="OP", help=ops)
    add("--graphs", nargs="+", default=[], metavar="NAME", help="arxiv, reddit-random, mesh, ...")
    add("--scores", nargs="+", default=[], metavar="SCORE", help="of attend: dot, gatv2+edge, ...")
    add("--reductions", nargs="+", default=[], metavar="NAME", help="of aggregate: sum, max, ...")
    add("--layers", nargs="+", default=[], metavar="NAME", help="GATConv, SAGEConv+fresh, ...")
    add("--models", nargs="+", default=[], metavar="NAME", help="DAGNN, GCN, GraphSAGE, GAT")
    add("--dtypes", nargs="+", default=[], metavar="DTYPE", help="float16, bfloat16, ...")
    add("--heads", nargs="+", default=[], metavar="HxD", help="heads x channels, such as 4x32")
    add(
        "--peers",
        nargs="+",
        default=["all"],
        metavar="PEER",
        help=f"all, none, {', '.join(TITLES)}",
    )
    add("--device", metavar="cpu|cuda", help="default: a GPU that can be used, else the CPU")
    add("--seconds", type=positive, default=0.5, metavar="S", help="timed runs a row; default 0.5")
    add("--edges", type=edge_count, metavar="N", help=f"of build; default {DEFAULT_EDGES}")
    add("--data-root", type=Path, metavar="DIR", help="of recommend; may hold Gowalla")
    add("--json", type=Path, metavar="FILE", help="write one record a row, as soon as it is known")
    add(OPTION, action="store_true", help="keep what --json FILE has, and go on from there")
    add("--markdown", type=Path, metavar="FILE", help="write the table as a page")
    add(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw the bars, or the curves of long_stream, as a PNG",
    )


def positive(text: str) -> float:
    """A positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0, below 3600")
    return value


def edge_count(text: str) -> int:
    """A number of edges that can be built."""
    if not text.isascii() or not text.isdigit() or int(text) < FEWEST_EDGES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {FEWEST_EDGES}")
    return int(text)


def command(options: argparse.Namespace) -> int:
    """Measure, and print and write what was measured, even if it is stopped on the way.

    Raises:
        NeighborgraphError: Anything that the user can put right.
    """
    device = choose_device(options.device)
    if options.plot:
        expect_matplotlib()
    # What is wrong is said, and an unwritable place found, before minutes are spent.
    circumstances = Circumstances.of(device)
    rows = kept_rows(options, circumstances)
    measurements = chosen_rows(options, device, finished_cases(rows))
    for path in filter(None, (None if rows else options.json, options.markdown, options.plot)):
        write_text(path, "")
    try:
        with stopped_by_sigterm():
            for row in measurements:
                rows.append(row)
                say(in_words(row))
                if options.json:
                    append_record(options.json, row, circumstances)
    finally:
        if rows:
            report(options, rows, circumstances)
    return 0


def kept_rows(options: argparse.Namespace, circumstances: Circumstances) -> list[Measurement]:
    """What a stopped run had measured, where it is to be continued."""
    if not options.resume:
        return []
    if options.json is None:
        raise ConfigError(f"{OPTION} goes on with the records of a run; name them with --json FILE")
    others = set(options.ops) - set(PARSERS)
    if others:
        raise ConfigError(f"{OPTION} is for {', '.join(PARSERS)}, not for {', '.join(others)}")
    return cut_back(options.json, circumstances)


def chosen_rows(
    options: argparse.Namespace, device: torch.device, done: Collection[Case]
) -> Iterator[Measurement]:
    """What was asked for, checked now and measured while it is iterated over."""
    ops = options.ops or OPERATORS
    for op in ops:
        if op not in OPS:
            raise ConfigError(
                f"unknown operator {op!r}{nearest(op, OPS)} (known: {', '.join(OPS)})"
            )
    if options.edges and "build" not in ops:
        raise ConfigError("--edges is for build; type neighborgraph bench build")
    if options.data_root and "recommend" not in ops:
        raise ConfigError("--data-root is for recommend; type neighborgraph bench recommend")
    cases = chosen_cases(
        [op for op in ops if op in PARSERS],
        device.type,
        graphs=options.graphs,
        scores=options.scores,
        reductions=options.reductions,
        layers=options.layers,
        models=options.models,
        dtypes=options.dtypes,
        heads=options.heads,
    )
    catalogues = chosen_catalogues(options.graphs, device.type) if "topk" in ops else []
    streams = chosen_streams(options.graphs, device.type) if "neighbor_cache" in ops else []
    long = chosen_long_streams(options.graphs, device.type) if "long_stream" in ops else []
    peers = chosen_peers(options.peers)

    def measured() -> Iterator[Measurement]:
        yield from measure_cases(cases, device, peers, options.seconds, say, done)
        if "build" in ops:
            yield from build_rows(options.edges or DEFAULT_EDGES, device, options.seconds)
        if "reorder" in ops:
            for graph in options.graphs or [REORDERED[device.type]]:
                yield from reorder_rows(graph, device, options.seconds)
        for stream in streams:
            yield from neighbor_cache_rows(stream, device, options.seconds, peers)
        for stream in long:
            yield from long_stream_rows(stream, device)
        if "sample" in ops:
            for graph in options.graphs or [DEFAULT_GRAPHS[device.type]]:
                yield from sampling_rows(graph, device, options.seconds, peers="pyg" in peers)
        if "largegt" in ops:
            for graph in options.graphs or [largegt.DEFAULT_GRAPHS[device.type]]:
                yield from largegt.largegt_rows(
                    graph, device, options.seconds, peers="pyg" in peers
                )
        if "recommend" in ops:
            yield from recommend_rows(
                device, options.seconds, peers="pyg" in peers, root=options.data_root
            )
        if "stream" in ops:
            yield from stream_rows(device, options.seconds)
        for catalogue in catalogues:
            yield from ranking_rows(catalogue, device, options.seconds, peers)

    return measured()


def chosen_peers(typed: list[str]) -> list[str]:
    """Names from ``TITLES``."""
    if typed in (["all"], ["none"]):
        return list(TITLES) if typed == ["all"] else []
    for name in typed:
        if name not in TITLES:
            raise ConfigError(
                f"unknown peer {name!r}{nearest(name, TITLES)} "
                f"(known: {', '.join(TITLES)}; or all, or none, alone)"
            )
    return typed


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, which ``timeout`` sends, end the work as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise Stopped(number)

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def say(line: str) -> None:
    """Progress, which is no part of the result."""
    print(line, file=sys.stderr, flush=True)


def in_words(row: Measurement) -> str:
    """One row while the next is being measured."""
    if row.timing is None:
        return f"  {row.stage}, {row.provider}: {row.note}"
    return f"  {row.stage}, {row.provider}: {figure(row.timing.median_ms)} ms"


def report(
    options: argparse.Namespace, rows: list[Measurement], circumstances: Circumstances
) -> None:
    """The table, and the files that were asked for."""
    print(table(rows))
    if options.markdown:
        record = options.json.name if options.json else ""
        picture = options.plot.name if options.plot else ""
        write_text(options.markdown, page(rows, circumstances, record, picture))
    if options.plot and {row.op for row in rows} == {"long_stream"}:
        draw_over_events(rows, options.plot)
    elif options.plot:
        draw(rows, circumstances, options.plot)
