"""Ranker: a trained recommender as it is used, with nothing left of how it was trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neighborgraph.data.interactions import Interactions
from neighborgraph.errors import CheckpointError, InputError
from neighborgraph.ops.topk import topk
from neighborgraph.tasks.checkpoint import Checkpoints
from neighborgraph.tasks.ranking import rows_of, select_rows

BLOCK = 2**13
"""Users ranked at a time."""


@dataclass(frozen=True)
class Ranker:
    """Embeddings, what every user is known to have, and the original ids.

    Attributes:
        users: [U, d].
        items: [I, d].
        known: (rowptr [U + 1], column [n]) items that are not recommended again.
        user_ids: [U] original ids, int64 or text.
        item_ids: [I] original ids, int64 or text.
    """

    users: Tensor
    items: Tensor
    known: tuple[Tensor, Tensor]
    user_ids: np.ndarray
    item_ids: np.ndarray

    @classmethod
    def of(cls, users: Tensor, items: Tensor, data: Interactions) -> "Ranker":
        """The ranker of a model's embeddings; every pair of every part is known."""
        known = rows_of(data.known.to(users.device), data.num_users)
        return cls(users.detach(), items.detach(), known, data.user_ids, data.item_ids)

    def save(self, folder: Path, epoch: int) -> None:
        """Write it, completely or not at all.

        Raises:
            CheckpointError: It cannot be written; an earlier one is as it was.
        """
        tensors = {"users": self.users, "items": self.items}
        tensors |= {"known.rowptr": self.known[0], "known.column": self.known[1]}
        state: dict[str, Any] = {}
        for name, ids in (("user_ids", self.user_ids), ("item_ids", self.item_ids)):
            if ids.dtype.kind == "i":
                tensors[name] = torch.from_numpy(ids.astype(np.int64))
            else:
                state[name] = ids.tolist()
        Checkpoints(folder).save(epoch, tensors, state)

    @classmethod
    def load(cls, folder: Path) -> "Ranker":
        """Read one that was saved.

        Raises:
            CheckpointError: There is none, or it is damaged.
        """
        checkpoint = Checkpoints(folder).load()
        if checkpoint is None:
            raise CheckpointError(
                f"{folder} holds no finished recommender; pass the folder of a seed, such as "
                "runs/checkpoints/lightgcn-gowalla/seed-0, and finish its training first"
            )
        tensors, state = checkpoint.tensors, checkpoint.state
        ids = {
            name: tensors[name].numpy() if name in tensors else np.array(state[name])
            for name in ("user_ids", "item_ids")
        }
        known = tensors["known.rowptr"], tensors["known.column"]
        return cls(tensors["users"], tensors["items"], known, **ids)

    def positions(self, ids: list[str]) -> Tensor:
        """[n] the positions of users given by their original ids.

        Raises:
            InputError: A user is not known.
        """
        place = {str(user): position for position, user in enumerate(self.user_ids.tolist())}
        for user in ids:
            if user not in place:
                raise InputError(
                    f"user {user!r} is not among the {len(place)} users the model was trained on"
                )
        return torch.tensor([place[user] for user in ids], dtype=torch.int64)

    def recommend(self, users: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The best items of some users, without those they are known to have.

        Args:
            users: [n] positions.
            k: Length of a list, at least 1; a list is shorter where fewer items are left.

        Returns:
            Scores [n, k] and item positions [n, k], padded with -inf and -1.

        Raises:
            InputError: ``k`` is below 1.
        """
        k = min(k, self.items.shape[0])
        scores, ids = [], []
        for block in users.split(BLOCK):
            known = select_rows(self.known, block)
            best, found = topk(self.users[block], self.items, k, known)
            scores.append(best)
            ids.append(found)
        return torch.cat(scores), torch.cat(ids)
