"""Record: what one run measured, on what, and how to run it again; one JSON line each."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from neighborgraph.errors import DataFileError

ABSENT_ONCE = {"protocol": "validation", "digest": "", "parameters": 0}
"""Fields that older records lack, and what they meant."""


@dataclass(frozen=True)
class Record:
    """One seed of one model on one data set.

    Attributes:
        model: Command-line name.
        dataset: Command-line name.
        recipe: ``model/dataset`` of the numbers used.
        overrides: What ``--set`` changed in them.
        seed: Of the initial parameters, the dropout and the split.
        metrics: Name to fraction, at the best epoch.
        best_epoch: Epochs trained when the validation loss was lowest.
        seconds: Training time.
        peak_memory_mb: Of the GPU's allocations, or of the whole process on a CPU.
        device: Where it ran.
        versions: Package to version.
        commit: Of the checkout, with ``-dirty`` when it was changed; empty outside of one.
        command: What was typed.
        date: UTC, ISO 8601.
        protocol: What selected the best epoch: ``validation``, or ``published``, which is the test.
        digest: SHA-256 of the data; empty in records of before it was kept.
        parameters: Numbers that training adapts; 0 in records of before they were counted.
    """

    model: str
    dataset: str
    recipe: str
    overrides: Sequence[str]
    seed: int
    metrics: Mapping[str, float]
    best_epoch: int
    seconds: float
    peak_memory_mb: float
    device: str
    versions: Mapping[str, str]
    commit: str
    command: str
    date: str
    protocol: str = "validation"
    digest: str = ""
    parameters: int = 0


def append_record(path: Path, record: Record) -> None:
    """Add one line; a half line that a killed run left at the end is removed first.

    Raises:
        DataFileError: The file cannot be written.
    """
    line = json.dumps(asdict(record)).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataFileError(f"cannot write {path}: {error.strerror}") from error


def read_records(path: Path) -> list[Record]:
    """All complete lines of a file, oldest first; none when there is no file.

    Raises:
        DataFileError: A line is not a record.
    """
    if not path.exists():
        return []
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise DataFileError(f"cannot read {path}: {error.strerror}") from error
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            values = json.loads(line)
            values = ABSENT_ONCE | values
            records.append(Record(**{f.name: values[f.name] for f in fields(Record)}))
        except (ValueError, KeyError, TypeError) as error:
            raise DataFileError(f"{path}, line {number} is not a record: {error!r}") from error
    return records
