"""Train models on a data set and print one table beside the published figures."""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

from neighborgraph import models
from neighborgraph.bench.record import Record
from neighborgraph.bench.runner import Run, run_seeds
from neighborgraph.cli.device import choose_device
from neighborgraph.cli.source import choose_source, kind_of
from neighborgraph.cli.table import Row, published_for, render
from neighborgraph.errors import ConfigError
from neighborgraph.tasks.lock import exclusive
from neighborgraph.tasks.processes import joined, own_device
from neighborgraph.tasks.recipe import load_recipe

TINY = ("training.epochs=20",)
"""What ``--tiny`` changes in a recipe; it also takes a tiny data set."""
MAX_SEEDS = 10_000
IN_BATCHES = (models.Recommender, models.TokenModel)
"""Models whose batches several processes can share."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``neighborgraph run``."""
    add = parser.add_argument
    add("models", metavar="MODEL[,MODEL...]", help="see neighborgraph ls models")
    add("dataset", metavar="DATASET", nargs="?", help="see neighborgraph ls datasets")
    add(
        "--seeds",
        type=seed_count,
        metavar="N",
        help="train with seeds 0 .. N-1; default: 1, or what OGB asks for on its data sets",
    )
    add("--device", metavar="cpu|cuda", help="default: a GPU that can be used, else the CPU")
    add("--data-root", type=Path, metavar="DIR", help="default: $NEIGHBORGRAPH_DATA or data")
    add("--download", action="store_true", help="fetch missing files from their publisher")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="optimizer.lr=0.02, ...")
    add("--out", type=Path, default=Path("runs"), metavar="DIR", help="default: runs")
    add("--resume", action="store_true", help="keep recorded seeds, continue unfinished ones")
    add("--tiny", action="store_true", help="20 epochs on tiny made-up data instead")
    add("--tensorboard", type=Path, metavar="DIR", help="write event files for TensorBoard")
    add("--events", type=Path, metavar="FILE", help="a stream of your own, .csv or .txt")
    own = parser.add_argument_group("interactions of your own, for recommenders")
    add = own.add_argument
    add("--interactions", type=Path, metavar="FILE", help=".csv, .tsv, .parquet, .txt or a folder")
    add("--user-column", metavar="NAME", help="default: user")
    add("--item-column", metavar="NAME", help="default: item")
    add("--time-column", metavar="NAME", help="for --set split.method=time or leave-one-out")
    add("--weight-column", metavar="NAME", help="ratings or counts, for --min-weight")
    add("--min-weight", type=float, metavar="X", help="leave out rows with a smaller weight")


def seed_count(text: str) -> int:
    """A number of seeds."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_SEEDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MAX_SEEDS}")
    return int(text)


def command(options: argparse.Namespace) -> int:
    """Train everything that was asked for, then print the table.

    Raises:
        NeighborgraphError: Anything that the user can put right; nothing recorded is lost.
    """
    names = options.models.split(",")
    kind = kind_of(names)
    if len(set(names)) < len(names):
        raise ConfigError(f"{options.models!r} names a model twice")
    source = choose_source(options, kind)
    seeds = options.seeds or source.seeds
    overrides = (*(TINY if options.tiny else ()), *options.set)
    recipes = {name: load_recipe(name, source.recipe, overrides) for name in names}
    device = own_device(choose_device(options.device))
    with (
        joined(device) as processes,
        exclusive(options.out) if processes.leads else nullcontext(),
    ):
        whole = [name for name in names if not issubclass(models.find(name), IN_BATCHES)]
        if processes.size > 1 and whole:
            raise ConfigError(
                f"{', '.join(whole)} trains on {kind.step}, which {processes.size} processes "
                "cannot share; start it without torchrun"
            )
        dataset = source.read()
        runs = [
            Run(
                name,
                dataset,
                recipe,
                overrides,
                device,
                options.out,
                options.resume,
                options.tensorboard,
                processes,
            )
            for name, recipe in recipes.items()
        ]
        for run in runs:
            run.check()
            if processes.leads:
                announce(run, source.recipe)
                for seed in range(seeds):
                    run.prepare(seed)
        # Which also lets the others wait until the first has made way.
        processes.expect_same(f"the command {sys.argv[1:]}")
        results = [(run, run_seeds(run, seeds)) for run in runs]
    if processes.leads:
        print(render([row(run, records) for run, records in results]))
    return 0


def announce(run: Run, dataset: str) -> None:
    """Say so when the numbers were not made for this data set."""
    if run.recipe.name != f"{run.model}/{dataset}":
        print(
            f"neighborgraph: {run.model} has no recipe for {dataset}, using {run.recipe.name}",
            file=sys.stderr,
        )


def row(run: Run, records: list[Record]) -> Row:
    """One model's line of the table."""
    return Row(run.model, run.dataset.name, records, published_for(run.recipe, run.dataset.name))
