"""Write the best items of users, from a finished training of a recommender."""

import argparse
import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from neighborgraph.bench.runner import RANKER
from neighborgraph.data.download import write_whole
from neighborgraph.errors import ConfigError, DataFileError
from neighborgraph.tasks import Ranker

Recommended = tuple[object, list[object], list[float]]
"""A user, its items and their scores, the best first; original ids."""
MAX_K = 10_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``neighborgraph recommend``."""
    add = parser.add_argument
    add(
        "checkpoint",
        type=Path,
        metavar="CHECKPOINT",
        help="folder of a finished seed, such as runs/checkpoints/lightgcn-gowalla/seed-0",
    )
    add("--users", nargs="+", metavar="ID", help="original ids; default: all users")
    add("--k", type=length, default=20, metavar="N", help="items a user; default: 20")
    add("--out", type=Path, required=True, metavar="FILE", help=".csv, or .jsonl for JSON lines")


def length(text: str) -> int:
    """A length of lists."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_K:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MAX_K}")
    return int(text)


def command(options: argparse.Namespace) -> int:
    """Rank and write; the file is complete or as it was.

    Raises:
        ConfigError: The file's form is unknown.
        InputError: A user is unknown.
        CheckpointError: There is no finished recommender.
        DataFileError: The file cannot be written.
    """
    form = FORMS.get(options.out.suffix.lower())
    if form is None:
        raise ConfigError(f"--out {options.out} must end in {' or '.join(FORMS)}")
    ranker = Ranker.load(options.checkpoint / RANKER)
    if options.users is None:
        users = torch.arange(len(ranker.user_ids))
    else:
        users = ranker.positions(options.users)
    content = form(lists(ranker, users, options.k))
    try:
        write_whole(options.out, content.encode())
    except OSError as error:
        raise DataFileError(
            f"cannot write {options.out}: {error.strerror}; nothing was changed. Choose another "
            "place with --out"
        ) from error
    print(f"{len(users)} lists of up to {options.k} items in {options.out}")
    return 0


def lists(ranker: Ranker, users: torch.Tensor, k: int) -> Iterator[Recommended]:
    """The users' items by original ids, without padding."""
    user_ids, item_ids = ranker.user_ids.tolist(), ranker.item_ids.tolist()
    scores, items = ranker.recommend(users, k)
    for user, score, item in zip(users.tolist(), scores.tolist(), items.tolist(), strict=True):
        filled = sum(position >= 0 for position in item)
        yield user_ids[user], [item_ids[i] for i in item[:filled]], score[:filled]


def as_csv(rows: Iterator[Recommended]) -> str:
    """One line an item: user, rank from 1, item, score."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["user", "rank", "item", "score"])
    for user, items, scores in rows:
        for rank, (item, score) in enumerate(zip(items, scores, strict=True), start=1):
            writer.writerow([user, rank, item, f"{score:.6g}"])
    return text.getvalue()


def as_json_lines(rows: Iterator[Recommended]) -> str:
    """One line a user: its id, its items and their scores."""
    return "".join(
        json.dumps({"user": user, "items": items, "scores": scores}, ensure_ascii=False) + "\n"
        for user, items, scores in rows
    )


FORMS: dict[str, Callable[[Iterator[Recommended]], str]] = {
    ".csv": as_csv,
    ".jsonl": as_json_lines,
}
"""Ending of a file to its form."""
