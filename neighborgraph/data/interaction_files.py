"""Readers of user-item pairs: LightGCN's text, tables with named columns, and Parquet.

Ids may be integers or text; they are mapped to positions and kept. A pair that is given twice
counts once. A user without an item is a user all the same. What is wrong is named by file, line and
text.
"""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from neighborgraph.data.interaction_log import InteractionLog, log_of
from neighborgraph.errors import BackendUnavailable, ConfigError, DataFileError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
MAX_ID = 200
"""Characters of an id; numpy keeps all of them as wide as the longest."""
SHOWN = 60
"""Characters of a faulty line that a message shows."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table mean what.

    Attributes:
        user: Ids of users.
        item: Ids of items.
        time: Numbers that grow with time; None when there are none.
        weight: Numbers such as ratings or counts; None when there are none.
        min_weight: Rows with a smaller weight are left out.
    """

    user: str = "user"
    item: str = "item"
    time: str | None = None
    weight: str | None = None
    min_weight: float = -math.inf

    @property
    def names(self) -> list[str]:
        """The columns to read: user and item, then those of time and weight that are named."""
        named = [name for name in (self.time, self.weight) if name is not None]
        return [self.user, self.item, *named]


def read_interactions(path: Path, columns: Columns) -> InteractionLog:
    """The pairs of a file, or of a folder with ``train.txt`` and ``test.txt``.

    Args:
        path: A folder or a ``.txt`` file in LightGCN's form, or a ``.csv``, ``.tsv`` or
            ``.parquet`` table.
        columns: What a table's columns mean.

    Raises:
        ConfigError: The form is not one of these.
        DataFileError: A file is absent or not what its name claims.
        BackendUnavailable: Parquet needs a package that is not installed.
    """
    if path.is_dir():
        return read_adjacency_folder(path.name, path, f"{path.name}, published split")
    suffix = path.suffix.lower()
    if suffix == ".txt":
        return log_of_adjacency(path.stem, read_adjacency(path), None, path.name)
    if suffix in DELIMITERS:
        names, rows = read_delimited(path, DELIMITERS[suffix])
    elif suffix == ".parquet":
        names, rows = read_parquet(path, columns.names)
    else:
        raise ConfigError(
            f"{path} must be a folder, or end in .txt, .csv, .tsv or .parquet, to be read"
        )
    return log_of_table(path, names, rows, columns)


# --- LightGCN's text: one line a user, `user item item ...` ---


@dataclass(frozen=True)
class Adjacency:
    """Pairs in the order of a file.

    Attributes:
        listed: [lines] the user of each line, also of one without items.
        users: [n] int64.
        items: [n] int64.
    """

    listed: np.ndarray
    users: np.ndarray
    items: np.ndarray


def read_adjacency(path: Path) -> Adjacency:
    """The lines ``user item item ...`` of a file.

    Raises:
        DataFileError: It is absent, no text, or has a line of another form.
    """
    lines = read_text(path).splitlines()
    rows = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        try:
            if not words or not all(word.isascii() and word.isdigit() for word in words):
                raise ValueError
            rows.append(np.array(list(map(int, words)), dtype=np.int64))
        except (ValueError, OverflowError):
            raise malformed(
                path, number, line, "user item item ..., with ids from 0 to 2^63 - 1"
            ) from None
    if not rows:
        raise DataFileError(f"{path} is empty; its lines should be: user item item ...")
    listed = np.array([row[0] for row in rows])
    items = np.concatenate([row[1:] for row in rows])
    return Adjacency(listed, np.repeat(listed, [len(row) - 1 for row in rows]), items)


def read_adjacency_folder(name: str, folder: Path, source: str) -> InteractionLog:
    """``train.txt`` and the published part ``test.txt`` of a folder."""
    train, test = (read_adjacency(folder / f"{part}.txt") for part in ("train", "test"))
    return log_of_adjacency(name, train, test, source)


def log_of_adjacency(
    name: str, train: Adjacency, test: Adjacency | None, source: str
) -> InteractionLog:
    """Pairs with ids mapped over both parts.

    Raises:
        DataFileError: A pair is in both parts.
    """
    parts = [train] if test is None else [train, test]
    user_ids = np.unique(np.concatenate([part.listed for part in parts]))
    item_ids = np.unique(np.concatenate([part.items for part in parts]))
    keys = [
        np.unique(
            np.searchsorted(user_ids, part.users) * np.int64(len(item_ids))
            + np.searchsorted(item_ids, part.items)
        )
        for part in parts
    ]
    if test is not None:
        both = np.intersect1d(*keys, assume_unique=True)
        if both.size:
            user, item = divmod(int(both[0]), len(item_ids))
            raise DataFileError(
                f"data set {name}: user {user_ids[user]} with item {item_ids[item]} is in train "
                f"and in test, as are {both.size - 1} other pairs; a model must not see its test"
            )
    pairs = [
        torch.from_numpy(np.stack([key // len(item_ids), key % len(item_ids)])) for key in keys
    ]
    return InteractionLog(
        name=name,
        pairs=pairs[0],
        times=None,
        test=None if test is None else pairs[1],
        user_ids=user_ids,
        item_ids=item_ids,
        source=source,
    )


# --- Tables with named columns ---


def read_delimited(path: Path, delimiter: str) -> tuple[list[str], Iterator[tuple[int, list]]]:
    """The header of a table, and its lines with their numbers."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    header = next(reader, None)
    if header is None:
        raise DataFileError(f"{path} is empty; its first line should name the columns")

    def rows() -> Iterator[tuple[int, list]]:
        try:
            for fields in reader:
                if len(fields) != len(header):
                    line = delimiter.join(fields)
                    raise malformed(path, reader.line_num, line, f"{len(header)} columns")
                yield reader.line_num, fields
        except csv.Error as error:
            raise DataFileError(f"{path}, line {reader.line_num}: {error}") from error

    return [name.strip() for name in header], rows()


def read_parquet(
    path: Path, columns: Sequence[str]
) -> tuple[list[str], Iterator[tuple[int, list]]]:
    """The same of a Parquet file; only the named columns are read."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise BackendUnavailable(
            f"{path}: Parquet needs the package pyarrow: pip install 'neighborgraph[parquet]'"
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            table = file.read(columns=[name for name in columns if name in names])
    except (OSError, pyarrow.ArrowException) as error:
        raise DataFileError(f"cannot read {path} as Parquet: {error}") from error
    values = (column.to_pylist() for column in table.columns)
    return table.column_names, (
        (n, list(row)) for n, row in enumerate(zip(*values, strict=True), start=1)
    )


def log_of_table(
    path: Path, names: Sequence[str], rows: Iterator[tuple[int, list]], columns: Columns
) -> InteractionLog:
    """Rows as pairs.

    Raises:
        DataFileError: A column is absent, an id is empty, or a time or weight is no number.
    """
    for name in columns.names:
        if names.count(name) != 1:
            raise DataFileError(
                f"{path} has {names.count(name)} columns named {name!r} (found: "
                f"{', '.join(names)}); name yours with --user-column, --item-column, "
                "--time-column or --weight-column"
            )
    at_user, at_item = names.index(columns.user), names.index(columns.item)
    at_time = None if columns.time is None else names.index(columns.time)
    at_weight = None if columns.weight is None else names.index(columns.weight)
    users, items, times = [], [], []
    for number, fields in rows:
        try:
            if at_weight is not None and finite(fields[at_weight]) < columns.min_weight:
                continue
            users.append(present(fields[at_user]))
            items.append(present(fields[at_item]))
            if at_time is not None:
                times.append(finite(fields[at_time]))
        except (TypeError, ValueError):
            raise malformed(
                path,
                number,
                ", ".join(map(str, fields)),
                f"ids of 1 to {MAX_ID} characters, and numbers for time and weight",
            ) from None
    if not users:
        raise DataFileError(f"{path} has no row with a weight of {columns.min_weight} or more")
    return log_of(
        path.stem,
        as_ids(users),
        as_ids(items),
        np.array(times) if times else None,
        path.name,
    )


def present(value: object) -> str:
    """An id as text; empty ones, very long ones and fractions are none."""
    text = str(value).strip()
    if value is None or isinstance(value, float) or not 0 < len(text) <= MAX_ID:
        raise ValueError
    return text


def finite(value: object) -> float:
    """A number that is one."""
    number = float(value)  # pyright: ignore[reportArgumentType]
    if not math.isfinite(number):
        raise ValueError
    return number


def as_ids(texts: list[str]) -> np.ndarray:
    """[n] int64 when every text is one and stays itself (``007`` would not), else text."""
    array = np.array(texts)
    try:
        numbers = array.astype(np.int64)
    except (ValueError, OverflowError):
        return array
    return numbers if np.array_equal(numbers.astype(array.dtype), array) else array


# --- Both ---


def read_text(path: Path) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        DataFileError: It cannot be read, or is not text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataFileError(f"cannot read {path}: {error.strerror}") from error
    try:
        text = content.decode("utf-8-sig")
        if "\0" in text:
            raise ValueError("it holds a zero byte")
    except ValueError as error:
        raise DataFileError(f"{path} is not a text file: {error}") from error
    return text


def malformed(path: Path, number: int, line: str, expected: str) -> DataFileError:
    """The error of a line that has another form."""
    shown = line if len(line) <= SHOWN else f"{line[:SHOWN]}..."
    return DataFileError(f"{path}, line {number}: expected {expected}, got {shown!r}")
