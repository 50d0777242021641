"""Train models on a data set and print one table beside the published figures."""

import argparse
import sys
from pathlib import Path

from neighborgraph import data, models
from neighborgraph.bench.record import Record
from neighborgraph.bench.runner import Run, run_seeds
from neighborgraph.cli.device import choose_device
from neighborgraph.cli.table import Row, render
from neighborgraph.errors import ConfigError
from neighborgraph.tasks.lock import exclusive
from neighborgraph.tasks.recipe import load_recipe

TINY = ("training.epochs=20",)
"""What ``--tiny`` changes in a recipe; it also takes the data set ``tiny``."""
MAX_SEEDS = 10_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``neighborgraph run``."""
    add = parser.add_argument
    add("models", metavar="MODEL[,MODEL...]", help="see neighborgraph ls models")
    add("dataset", metavar="DATASET", help="see neighborgraph ls datasets")
    add("--seeds", type=seed_count, default=1, metavar="N", help="train with seeds 0 .. N-1")
    add("--device", metavar="cpu|cuda", help="default: a GPU that can be used, else the CPU")
    add("--data-root", type=Path, metavar="DIR", help="default: $NEIGHBORGRAPH_DATA or data")
    add("--download", action="store_true", help="fetch missing files from their publisher")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="optimizer.lr=0.02, ...")
    add("--out", type=Path, default=Path("runs"), metavar="DIR", help="default: runs")
    add("--resume", action="store_true", help="keep recorded seeds, continue unfinished ones")
    add("--tiny", action="store_true", help="20 epochs on a tiny made-up graph instead")


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
    for name in names:
        models.find(name)
    if len(set(names)) < len(names):
        raise ConfigError(f"{options.models!r} names a model twice")
    data.find(options.dataset)
    overrides = (*(TINY if options.tiny else ()), *options.set)
    recipes = {name: load_recipe(name, options.dataset, overrides) for name in names}
    device = choose_device(options.device)
    with exclusive(options.out):
        loaded = "tiny" if options.tiny else options.dataset
        dataset = data.load(loaded, options.data_root, options.download)
        runs = [
            Run(name, dataset, recipe, overrides, device, options.out, options.resume)
            for name, recipe in recipes.items()
        ]
        for run in runs:
            announce(run, options.dataset)
            run.build_model()
            for seed in range(options.seeds):
                run.prepare(seed)
        results = [(run, run_seeds(run, options.seeds)) for run in runs]
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
    # A figure for the whole data set says nothing about the tiny one.
    published = run.recipe.published if run.recipe.name.endswith(f"/{run.dataset.name}") else None
    return Row(run.model, run.dataset.name, records, published)
