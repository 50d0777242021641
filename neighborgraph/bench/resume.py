"""Going on with a benchmark that was stopped: its rows, but for those of the case it was in."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neighborgraph.bench.cases import Case
from neighborgraph.bench.measurement import Circumstances, Measurement, writing
from neighborgraph.errors import ConfigError, DataFileError

ALIKE = ("hardware", "versions", "commit", "command")
"""What rows must share to stand in one table; the date may differ."""
OPTION = "--resume"


def cut_back(path: Path, circumstances: Circumstances) -> list[Measurement]:
    """Cut the records of a stopped run back to the cases that it had finished.

    Args:
        path: The records; a file that is absent or empty has none.
        circumstances: Of the run that goes on.

    Returns:
        The rows that stay: all in front of those of the last case, and none while only the host
        was timed.

    Raises:
        ConfigError: It was measured elsewhere, with other versions or with other options.
        DataFileError: The file cannot be read or written, or a line of it is no record.
    """
    try:
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise DataFileError(f"cannot read {path}: {error}") from error
    rows: list[Measurement] = []
    for number, line in enumerate(lines, 1):
        try:
            fields = json.loads(line)
            rows.append(Measurement.of(fields))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):  # cut off when the run was killed
                break
            raise DataFileError(f"{path}, line {number} is not a record of a benchmark") from error
        expect_alike(path, fields, circumstances)
    last = case_of(rows[-1]) if rows else None
    rows = [row for row in rows if case_of(row) != last] if finished_cases(rows) else []
    if lines:
        with writing(path):
            # What stays is the beginning of the file, so that nothing can be lost.
            os.truncate(path, sum(len(line.encode()) for line in lines[: len(rows)]))
    return rows


def expect_alike(path: Path, fields: dict[str, Any], circumstances: Circumstances) -> None:
    """Refuse a row that cannot stand beside those of this run."""
    for name in ALIKE:
        before, now = fields[name], getattr(circumstances, name)
        if name == "command":
            before, now = (text.replace(f" {OPTION}", "") for text in (before, now))
        if before != now:
            raise ConfigError(
                f"{path} was measured with {name} {before!r}, this is {now!r}; take another file "
                f"for --json, or leave out {OPTION}"
            )


def finished_cases(rows: Sequence[Measurement]) -> set[Case]:
    """The cases that the rows are of, the host's times apart."""
    return {case for is_host, case in map(case_of, rows) if not is_host}


def case_of(row: Measurement) -> tuple[bool, Case]:
    """Whether a row tells the time of the host, and its case."""
    case = Case(row.op, row.graph, row.form, row.dtype, row.heads, row.width)
    return row.stage.startswith("host"), case
