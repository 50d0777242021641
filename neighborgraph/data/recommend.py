"""The named sets of interactions: Gowalla, Last.fm, and a small one that needs no file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from neighborgraph.data.interaction_files import (
    Adjacency,
    log_of_adjacency,
    malformed,
    read_adjacency_folder,
    read_text,
)
from neighborgraph.data.interaction_log import InteractionLog, log_of
from neighborgraph.errors import DataFileError

GROUPS, USERS_A_GROUP, ITEMS_A_GROUP, ITEMS_A_USER = 8, 20, 25, 12
"""Sizes of the small set."""
LOYALTY = 0.9
"""Probability that a user of the small set stays in its group."""


def load_gowalla(root: Path) -> InteractionLog:
    """Check-ins of 29,858 users at 40,981 places, in the split of LightGCN and NGCF.

    Raises:
        DataFileError: A file is missing or damaged.
    """
    folder = find_folder(root, "gowalla", ("train.txt", "test.txt"))
    return read_adjacency_folder("gowalla", folder, "Gowalla, split of He et al. (2020)")


def load_lastfm(root: Path) -> InteractionLog:
    """Artists that users of Last.fm listened to, in the split of LightGCN's code.

    Raises:
        DataFileError: A file is missing or damaged.
    """
    folder = find_folder(root, "lastfm", ("data1.txt", "test1.txt"))
    train, test = (read_counts(folder / name) for name in ("data1.txt", "test1.txt"))
    return log_of_adjacency("lastfm", train, test, "HetRec 2011 Last.fm, split of LightGCN's code")


def read_counts(path: Path) -> Adjacency:
    """Lines of user, item and how often; whatever the count, it is one pair."""
    users, items = [], []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.split()
        try:
            user, item, _ = int(words[0]), int(words[1]), float(words[2])
        except (ValueError, IndexError):
            raise malformed(path, number, line, "user, item and count") from None
        users.append(user)
        items.append(item)
    if not users:
        raise DataFileError(f"{path} is empty; its lines should be: user, item and count")
    return Adjacency(np.unique(users), np.array(users), np.array(items))


def find_folder(root: Path, name: str, files: tuple[str, ...]) -> Path:
    """``root``/<name>, which must hold all files.

    Raises:
        DataFileError: Some are missing; says where they should be.
    """
    folder = root / name
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise DataFileError(
            f"{', '.join(missing)} not found: looked in {folder}. Pass --data-root DIR where "
            f"DIR/{name} holds {' and '.join(files)}"
        )
    return folder


def load_tiny_interactions() -> InteractionLog:
    """160 made-up users of 200 items in eight groups; nine choices in ten stay in the group."""
    random = torch.Generator().manual_seed(0)
    users = torch.arange(GROUPS * USERS_A_GROUP).repeat_interleave(ITEMS_A_USER)
    stays = torch.rand(users.shape, generator=random) < LOYALTY
    group = torch.where(
        stays, users // USERS_A_GROUP, torch.randint(GROUPS, users.shape, generator=random)
    )
    items = group * ITEMS_A_GROUP + torch.randint(ITEMS_A_GROUP, users.shape, generator=random)
    times = torch.arange(users.numel(), dtype=torch.float64)
    return log_of(
        "tiny-interactions",
        users.numpy(),
        items.numpy(),
        times.numpy(),
        "synthetic, users and items in groups",
    )


INTERACTIONS: dict[str, Callable[[Path], InteractionLog]] = {
    "gowalla": load_gowalla,
    "lastfm": load_lastfm,
    "tiny-interactions": lambda root: load_tiny_interactions(),
}
"""Command-line name to reader, which is handed the data root."""
