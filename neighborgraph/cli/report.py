"""Show what a folder of runs holds: a table, curves, or what OGB's leaderboards ask for."""

import argparse
from pathlib import Path

from neighborgraph.bench.curve import draw_against, draw_over_time
from neighborgraph.bench.history import read_histories
from neighborgraph.bench.record import read_records
from neighborgraph.bench.report import Group, group_records, submission
from neighborgraph.cli.table import Row, published_for, render
from neighborgraph.errors import ConfigError
from neighborgraph.tasks.recipe import load_recipe


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``neighborgraph report``."""
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="the --out of the runs, or a file of records"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--ogb", action="store_true", help="the entries of OGB's form for its data sets"
    )
    shown.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw a metric over the time of training as a PNG"
    )
    parser.add_argument(
        "--metric", metavar="NAME", help="of --plot; default: the test metric that comes first"
    )
    parser.add_argument(
        "--against", metavar="KEY", help="draw over this number of the recipes, not over time"
    )


def command(options: argparse.Namespace) -> int:
    """Print the table, or the forms of all models with all seeds, or draw curves.

    Raises:
        BackendUnavailable: Curves were asked for, and Matplotlib is not installed.
        ConfigError: There are no records, or seeds that a form needs are missing, or there is no
            such metric or number to draw.
        DataFileError: The records cannot be read, or the picture cannot be written.
    """
    if options.plot is None and (options.against or options.metric):
        raise ConfigError("--against and --metric are of --plot FILE; add it, or leave them out")
    if options.plot is not None and options.against is None:
        draw_over_time(read_histories(options.folder), options.metric, options.plot)
        return 0
    path = options.folder
    if not path.is_file():
        path /= "records.jsonl"
    groups = group_records(read_records(path))
    if not groups:
        raise ConfigError(f"{path} holds no record; name the --out folder of neighborgraph run")
    if options.plot is not None:
        draw_against(groups, options.against, options.metric, options.plot)
    elif options.ogb:
        print_submissions(groups, path)
    else:
        print(render([row(group) for group in groups]))
    return 0


def print_submissions(groups: list[Group], path: Path) -> None:
    """The forms of complete groups; then an error about the others, if there are any."""
    groups = [group for group in groups if group.ogb_name is not None]
    if not groups:
        raise ConfigError(f"{path} holds no run on a data set of OGB")
    complete = [group for group in groups if not group.missing_seeds]
    print("\n\n".join(submission(group) for group in complete), end="\n" if complete else "")
    unfinished = [
        f"{group.title} lacks the seeds {', '.join(map(str, group.missing_seeds))}"
        for group in groups
        if group.missing_seeds
    ]
    if unfinished:
        raise ConfigError(
            f"{path}: {'; '.join(unfinished)}. OGB asks for all of 0 .. 9: repeat the command of "
            "the run without --seeds and with --resume"
        )


def row(group: Group) -> Row:
    """One group's line of the table."""
    model, recipe = group.first.recipe.split("/")
    published = published_for(load_recipe(model, recipe), group.first.dataset)
    return Row(group.first.model, group.first.dataset, group.records, published)
