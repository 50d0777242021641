"""List models, data sets and recipes."""

import argparse

from neighborgraph.checks import nearest
from neighborgraph.data import BUILTIN, DATASETS, INTERACTIONS, STREAMS, TGB
from neighborgraph.errors import ConfigError
from neighborgraph.models import MODELS
from neighborgraph.tasks.recipe import load_recipe, recipe_names


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``neighborgraph ls``."""
    parser.add_argument(
        "what", nargs="?", metavar="models|datasets|recipes", help="list only these"
    )


def command(options: argparse.Namespace) -> int:
    """Print what was asked for, or everything under headings.

    Raises:
        ConfigError: There is no such list.
    """
    lists = {"models": models, "datasets": datasets, "recipes": recipes}
    if options.what is None:
        for name, lines in lists.items():
            print(f"{name}:")
            print("\n".join(f"  {line}" for line in lines()))
        return 0
    if options.what not in lists:
        raise ConfigError(
            f"unknown list {options.what!r}{nearest(options.what, lists)} "
            f"(known: {', '.join(lists)})"
        )
    print("\n".join(lists[options.what]()))
    return 0


def models() -> list[str]:
    """Name and first line of the paper's description."""
    return [
        f"{name:<20}{(model.__doc__ or '').splitlines()[0]}"
        for name, model in sorted(MODELS.items())
    ]


def datasets() -> list[str]:
    """Name and where the files come from."""
    origin = {name: "read from --data-root, or fetched with --download" for name in DATASETS}
    origin |= {
        name: "read from --data-root" for name in (*INTERACTIONS, *STREAMS) if name not in TGB
    }
    origin |= {name: "built in" for name in BUILTIN}
    return [f"{name:<20}{origin[name]}" for name in sorted(DATASETS)]


def recipes() -> list[str]:
    """Name and published figure."""
    lines = []
    for name in recipe_names():
        model, dataset = name.split("/")
        published = load_recipe(model, dataset).published
        figure = ""
        if published is not None:
            figures = [f"{value:.1%}" for value, _ in published.metrics.values()]
            figure = f"published {', '.join(figures)}"
        lines.append(f"{name:<19} {figure}".rstrip())
    return lines
