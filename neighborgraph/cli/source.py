"""Which data a model is trained on: a name, a file of one's own, or something tiny."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from neighborgraph import data, models
from neighborgraph.bench.assembly import Dataset
from neighborgraph.errors import ConfigError

COLUMN_OPTIONS = ("user_column", "item_column", "time_column", "weight_column", "min_weight")
"""Options that say what the columns of a table mean."""


@dataclass(frozen=True)
class Kind:
    """Models that are trained on data of one kind.

    Attributes:
        name: Of the models, in the plural.
        model: Their base.
        readers: Names of their data sets, as keys.
        tiny: Name of the made-up one.
        load: Reads a data set by (name, data root, whether a download is allowed).
        option: The option that names a file of one's own and says what it holds; empty where there
            is none.
        step: What those train on whose steps several processes cannot share.
    """

    name: str
    model: type[nn.Module]
    readers: Mapping[str, Any]
    tiny: str
    load: Callable[[str, Path | None, bool], Dataset]
    option: str = ""
    step: str = "a whole graph in every step"


def load_graph(name: str, root: Path | None, download: bool) -> Dataset:
    """A graph with labelled nodes or with links to predict."""
    return (data.load_links if name in data.LINKS else data.load)(name, root, download)


KINDS = (
    Kind(
        "recommenders",
        models.Recommender,
        data.INTERACTIONS,
        "tiny-interactions",
        lambda name, root, download: data.load_interactions(name, root),
        "interactions",
    ),
    Kind(
        "models of streams",
        models.TemporalModel,
        data.STREAMS,
        "tiny-events",
        data.load_events,
        "events",
        "events in their order",
    ),
    Kind("models of nodes", nn.Module, {**data.NODES, **data.LINKS}, "tiny", load_graph),
)
"""The first whose base a model has is its kind."""


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


def kind_of(names: list[str]) -> Kind:
    """The kind of some models.

    Raises:
        ConfigError: A name is unknown, or they are of several kinds.
    """
    classes = [models.find(name) for name in names]
    kinds = [next(kind for kind in KINDS if issubclass(c, kind.model)) for c in classes]
    several = sorted({kind.name for kind in kinds})
    if len(several) > 1:
        raise ConfigError(
            f"{','.join(names)!r} mixes {' with '.join(several)}, which share no data set"
        )
    return kinds[0]


def choose_source(options: argparse.Namespace, kind: Kind) -> Source:
    """The data that the options name, which must be of the models' kind.

    Raises:
        ConfigError: None or two are named, or one that such models cannot use.
    """
    name, path = options.dataset, own_file(options, kind)
    if name is not None:
        data.expect_known(name, data.DATASETS)
        data.expect_known(name, kind.readers, f"data set for {options.models}")
    if options.download and kind.option and name not in data.TGB:
        raise ConfigError(
            f"--download fetches no {kind.option} of {name or 'your own'}; put the files under "
            f"--data-root, as docs/data.md says, or name your own with --{kind.option}"
        )
    named = [option for option in COLUMN_OPTIONS if getattr(options, option) is not None]
    if options.interactions is None and named:
        raise ConfigError(f"--{named[0].replace('_', '-')} describes a file of --interactions")
    if options.tiny:
        tiny = "tiny-links" if name in data.LINKS else kind.tiny
        return Source(name or tiny, lambda: kind.load(tiny, options.data_root, False))
    if name is not None:
        seeds = data.LEADERBOARD_SEEDS if name in data.OGB else 1
        return Source(name, lambda: kind.load(name, options.data_root, options.download), seeds)
    if path is not None:
        return Source("default", own_reader(options, path))
    alternative = f" (or --{kind.option} FILE)" if kind.option else ""
    raise ConfigError(
        f"the following arguments are required: DATASET{alternative}; see neighborgraph run --help"
    )


def own_file(options: argparse.Namespace, kind: Kind) -> Path | None:
    """The file of one's own that is named, if any.

    Raises:
        ConfigError: It is of another kind than the models, or a data set is named as well.
    """
    for other in KINDS:
        path = getattr(options, other.option) if other.option else None
        if path is None:
            continue
        if other is not kind:
            raise ConfigError(f"--{other.option} is for {other.name}; {options.models} is none")
        if options.dataset is not None:
            raise ConfigError(f"{options.dataset} and --{kind.option} are two data sets; name one")
        return path
    return None


def own_reader(options: argparse.Namespace, path: Path) -> Callable[[], Dataset]:
    """What reads a file of one's own."""
    if options.events is not None:
        return lambda: data.read_events(path)
    columns = choose_columns(options)
    return lambda: data.read_interactions(path, columns)


def choose_columns(options: argparse.Namespace) -> data.Columns:
    """What the options say about a table; unsaid is as `Columns` has it.

    Raises:
        ConfigError: There is a least weight, and no column of weights.
    """
    if options.min_weight is not None and options.weight_column is None:
        raise ConfigError("--min-weight needs --weight-column, the column that it is about")
    said = {option.removesuffix("_column"): getattr(options, option) for option in COLUMN_OPTIONS}
    return data.Columns(**{name: value for name, value in said.items() if value is not None})
