"""What each evaluation of a run found: kept as JSON lines, and read back."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from neighborgraph.bench.measurement import writing
from neighborgraph.data.download import write_whole
from neighborgraph.errors import ConfigError, DataFileError

Moments = Sequence[dict[str, float]]
"""Evaluations in order, each with ``epoch``, ``seconds``, ``loss`` and the metrics."""


class History(NamedTuple):
    """One seed of a model on a data set."""

    name: str
    """Model and data set."""
    seed: int
    moments: Moments


def write_history(out: Path, history: History) -> None:
    """Write ``history/NAME/seed-N.jsonl`` in the output folder of a run.

    Raises:
        DataFileError: The file cannot be written.
    """
    path = out / "history" / history.name / f"seed-{history.seed}.jsonl"
    lines = "".join(json.dumps(moment) + "\n" for moment in history.moments)
    with writing(path):
        write_whole(path, lines.encode())


def read_histories(out: Path) -> list[History]:
    """All histories in the output folder of runs, by name and seed.

    Raises:
        ConfigError: There is none.
        DataFileError: One cannot be read.
    """
    found = []
    for path in out.glob("history/*/seed-*.jsonl"):
        try:
            moments = [json.loads(line) for line in path.read_text().splitlines()]
            seed = int(path.stem.removeprefix("seed-"))
            found.append(History(path.parent.name, seed, moments))
            if not moments:
                raise ValueError("it is empty")
        except (OSError, ValueError) as error:
            raise DataFileError(f"{path} is not the history of a seed: {error}") from error
    if not found:
        raise ConfigError(f"{out} holds no history; name the --out folder of neighborgraph run")
    return sorted(found, key=lambda history: history[:2])
