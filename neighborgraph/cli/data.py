"""Make a synthetic data set in the files of a real one, labelled as synthetic in each of them."""

import argparse
from pathlib import Path

from neighborgraph.checks import nearest
from neighborgraph.data import OGB, SyntheticSettings, expect_known, write_synthetic
from neighborgraph.errors import ConfigError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``neighborgraph data``."""
    add = parser.add_argument
    add("action", metavar="synth")
    add("dataset", metavar="NAME", help=f"one of {', '.join(OGB)}")
    add("--scale", type=float, required=True, metavar="S", help="1: as large as the real one")
    add("--out", type=Path, required=True, metavar="DIR", help="the --data-root of later runs")
    add("--homophily", type=float, metavar="H", help="edges within a class; default: as real")
    add("--tail", type=float, default=2.5, metavar="G", help="of the degrees; default: 2.5")
    add("--classes", type=int, metavar="C", help="classes in use; default: as real")
    add("--seed", type=int, default=0, metavar="N", help="of all that is drawn; default: 0")


def command(options: argparse.Namespace) -> int:
    """Write the data set.

    Raises:
        ConfigError: There is no such action or format, or an option is out of range.
        DataFileError: The folder is there already, or cannot be written.
    """
    if options.action != "synth":
        raise ConfigError(
            f"unknown action {options.action!r}{nearest(options.action, ['synth'])} (known: synth)"
        )
    expect_known(options.dataset, OGB, "data set with a synthetic form")
    if options.seed < 0:
        raise ConfigError(f"--seed {options.seed} is below 0")
    settings = SyntheticSettings(
        options.dataset,
        options.scale,
        homophily=options.homophily,
        tail=options.tail,
        classes=options.classes,
        seed=options.seed,
    )
    folder = write_synthetic(settings, options.out)
    print(f"{folder}: SYNTHETIC, in the format of {options.dataset}, scale {options.scale:g}")
    return 0
