"""Train models on a data set and print one table beside the published figures."""

import argparse
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from neighborgraph import data, models
from neighborgraph.bench.assembly import Dataset
from neighborgraph.bench.record import Record
from neighborgraph.bench.runner import Run, run_seeds
from neighborgraph.cli.device import choose_device
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
COLUMN_OPTIONS = ("user_column", "item_column", "time_column", "weight_column", "min_weight")
"""Options that say what the columns of a table mean."""


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
    kinds = {issubclass(models.find(name), models.Recommender) for name in names}
    if len(set(names)) < len(names):
        raise ConfigError(f"{options.models!r} names a model twice")
    if len(kinds) > 1:
        raise ConfigError(
            f"{options.models!r} mixes models of nodes with recommenders, which share no data set"
        )
    (recommends,) = kinds
    source = choose_source(options, recommends)
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
                f"{', '.join(whole)} trains on a whole graph in every step, which {processes.size} "
                "processes cannot share; start it without torchrun"
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


@dataclass(frozen=True)
class Source:
    """Where the data come from.

    Attributes:
        recipe: The data set whose recipe is wanted.
        read: Reads the data.
        seeds: How many to train with where nothing is said.
    """

    recipe: str
    read: Callable[[], Dataset]
    seeds: int = 1


def choose_source(options: argparse.Namespace, recommends: bool) -> Source:
    """The data that the options name, which must be of the models' kind.

    Raises:
        ConfigError: None or two are named, or one that such models cannot use.
    """
    name, path = options.dataset, options.interactions
    if path is not None and not recommends:
        raise ConfigError(f"--interactions is for recommenders; {options.models} is none")
    if path is not None and name is not None:
        raise ConfigError(f"{name} and --interactions are two data sets; name one")
    named = [option for option in COLUMN_OPTIONS if getattr(options, option) is not None]
    if options.download and recommends:
        raise ConfigError(
            "--download fetches no interactions; put the files under --data-root, as docs/data.md "
            "says, or name your own with --interactions"
        )
    if path is None and named:
        raise ConfigError(f"--{named[0].replace('_', '-')} describes a file of --interactions")
    if name is not None:
        readers = data.INTERACTIONS if recommends else data.NODES
        data.expect_known(name, data.DATASETS)
        data.expect_known(name, readers, f"data set for {options.models}")
    if options.tiny:
        tiny = "tiny-interactions" if recommends else "tiny"
        return Source(name or tiny, named_reader(options, tiny, recommends))
    if name is not None:
        seeds = data.LEADERBOARD_SEEDS if name in data.OGB else 1
        return Source(name, named_reader(options, name, recommends), seeds)
    if path is not None:
        columns = choose_columns(options)
        return Source("default", lambda: data.read_interactions(path, columns))
    alternative = " (or --interactions FILE)" if recommends else ""
    raise ConfigError(
        f"the following arguments are required: DATASET{alternative}; see neighborgraph run --help"
    )


def choose_columns(options: argparse.Namespace) -> data.Columns:
    """What the options say about a table; unsaid is as `Columns` has it.

    Raises:
        ConfigError: There is a least weight, and no column of weights.
    """
    if options.min_weight is not None and options.weight_column is None:
        raise ConfigError("--min-weight needs --weight-column, the column that it is about")
    said = {option.removesuffix("_column"): getattr(options, option) for option in COLUMN_OPTIONS}
    return data.Columns(**{name: value for name, value in said.items() if value is not None})


def named_reader(options: argparse.Namespace, name: str, recommends: bool) -> Callable[[], Dataset]:
    """The reader of a data set with a name."""
    if recommends:
        return lambda: data.load_interactions(name, options.data_root)
    return lambda: data.load(name, options.data_root, options.download)


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
