r"""Which items occur together, and how much that weighs: UltraGCN's item-item graph.

With the interactions A [U, I], :math:`G = A^\top A` counts for every two items the users who have
both; its diagonal is the number of users of an item. Its sums are :math:`g = G 1 = A^\top (A 1)`.
The weight of j for i is

.. math::

    \Omega_{ij} = G_{ij} \frac{\sqrt{g_i + 1}}{g_i} \frac{1}{\sqrt{g_j + 1}}

Only the largest weights of a row are kept, so G is made some rows at a time and never whole: dense
it would take 34 GB for the 92 thousand items of Amazon-Book, and 67 GB as float64.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

BLOCK_ENTRIES = 2**25
"""Largest number of entries of G at a time, 12 bytes each."""


def co_occurring_items(
    num_users: int, num_items: int, pairs: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """The items with the largest weights for every item, itself included.

    Args:
        num_users: U.
        num_items: I.
        pairs: [2, n] int64, users above items, each pair once.
        count: T, how many to keep.

    Returns:
        Item ids [I, T] int64 and their weights [I, T] float32 on the device of ``pairs``: largest
        weight first, equal ones by id. Where an item occurs with fewer than T, weight 0 and id 0.
    """
    from scipy.sparse import csr_matrix

    users, items = pairs.cpu().numpy()
    by_user = csr_matrix(
        (np.ones(users.size, np.int32), (users, items)), shape=(num_users, num_items)
    )
    by_item = by_user.T.tocsr()
    total = by_item @ (by_user @ np.ones(num_items))  # g
    left = np.divide(np.sqrt(total + 1), total, out=np.zeros(num_items), where=total > 0)
    right = 1 / np.sqrt(total + 1)

    ids = np.zeros((num_items, count), np.int64)
    weights = np.zeros((num_items, count), np.float32)
    rows = max(1, BLOCK_ENTRIES // num_items)
    for begin in range(0, num_items, rows):
        block = by_item[begin : begin + rows] @ by_user
        for item, (first, last) in enumerate(pairwise(block.indptr), begin):
            others = block.indices[first:last]
            weight = block.data[first:last] * (left[item] * right[others])
            best = largest(weight, others, count)
            ids[item, : best.size] = others[best]
            weights[item, : best.size] = weight[best]
    return torch.from_numpy(ids).to(pairs.device), torch.from_numpy(weights).to(pairs.device)


def largest(values: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
    """Positions of the largest values, in falling order, equal ones by id."""
    if values.size > count:
        least = np.partition(values, values.size - count)[values.size - count]
        candidates = np.flatnonzero(values >= least)  # more than count where several equal least
    else:
        candidates = np.arange(values.size)
    return candidates[np.lexsort((ids[candidates], -values[candidates]))][:count]
