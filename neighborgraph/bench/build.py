"""Seconds to check and build a Graph, with and without its checks and its transpose.

``python -m neighborgraph.bench.build --edges 100000000 --device cuda``
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from neighborgraph.bench.command import expect_device, run_command
from neighborgraph.bench.measurement import (
    Circumstances,
    Measurement,
    table,
    write_records,
    write_text,
)
from neighborgraph.bench.timer import measure
from neighborgraph.errors import ConfigError
from neighborgraph.graph import Graph

EDGES_PER_NODE = 50

BUILDERS = {"checked": Graph.from_edge_index, "trusted": Graph.from_trusted_edge_index}
TRANSPOSE = {"with transpose": True, "without transpose": False}


def build_rows(num_edges: int, device: torch.device) -> list[Measurement]:
    """Times over uniformly random int64 edges in no order; the ratio is to the checked build."""
    num_nodes = max(1, num_edges // EDGES_PER_NODE)
    sizes = num_nodes, num_nodes
    generator = torch.Generator(device).manual_seed(0)
    edge_index = torch.randint(num_nodes, (2, num_edges), generator=generator, device=device)
    rows = []
    for stage, transpose in TRANSPOSE.items():
        checked_ms = None
        for provider, builder in BUILDERS.items():
            timing = measure(
                lambda builder=builder, transpose=transpose: builder(
                    edge_index, sizes, transpose=transpose
                ),
                {"edge_index": edge_index},
            )
            checked_ms = checked_ms or timing.median_ms
            row = Measurement(
                op="build",
                provider=provider,
                graph="uniform",
                nodes=num_nodes,
                edges=num_edges,
                dtype="int64",
                heads=0,
                width=0,
                stage=stage,
                timing=timing,
                ratio=timing.median_ms / checked_ms,
                note=f"{timing.median_ms / 1e3:.3g} s, {num_edges:,} edges",
            )
            rows.append(row)
    return rows


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--edges", type=int, default=1_000_000, help="number of edges")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write one record a row")


def command(options: argparse.Namespace) -> int:
    """Measure, print the table, and write the records when asked."""
    device = expect_device(options.device)
    # Two nodes at least, or all ids are zero.
    if options.edges < 2 * EDGES_PER_NODE:
        raise ConfigError(f"--edges {options.edges} must be at least {2 * EDGES_PER_NODE}")
    if options.json:
        write_text(options.json, "")  # an unwritable place is found before minutes are spent
    circumstances = Circumstances.of(device)
    rows = build_rows(options.edges, device)
    print(table(rows))
    if options.json:
        write_records(options.json, rows, circumstances)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser("neighborgraph.bench.build", description=__doc__)
    return run_command(parser, configure, command, arguments)


if __name__ == "__main__":
    sys.exit(main())
