"""NodeDataset: one graph with features, labels and splits of its nodes."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph


@dataclass(frozen=True, eq=False)
class Split:
    """Which nodes train, select and test; disjoint int64 node ids."""

    train: Tensor
    val: Tensor
    test: Tensor


@dataclass(frozen=True, eq=False)
class NodeDataset:
    """A node-classification data set, checked at birth.

    Attributes:
        name: The name on the command line.
        graph: Undirected, every pair once in each direction, no self-loop added.
        x: [n, F] float32 features as published.
        y: [n] int64 labels in [0, ``num_classes``).
        num_classes: C.
        split_rule: Seed to split; use `split`.
        source: Where the data came from, for the reader of a record.
        official: The publisher's own evaluator of labels and predicted classes, both [n], which has
            the last word on a finished training; None where there is none.
    """

    name: str
    graph: Graph
    x: Tensor
    y: Tensor
    num_classes: int
    split_rule: Callable[[int], Split]
    source: str
    official: Callable[[Tensor, Tensor], float] | None = None

    def __post_init__(self) -> None:
        nodes = self.graph.num_rows
        if self.x.dim() != 2 or self.x.shape[0] != nodes or self.y.shape != self.shape_of_labels():
            raise InputError(
                f"data set {self.name}: {nodes} nodes, but features {list(self.x.shape)} and "
                f"labels {list(self.y.shape)}"
            )
        self.check_labels()
        bad = (~self.x.isfinite()).nonzero()
        if bad.numel():
            raise InputError(
                f"data set {self.name}: {len(bad)} features are NaN or infinite, the first at "
                f"node {int(bad[0, 0])}, column {int(bad[0, 1])}"
            )

    def shape_of_labels(self) -> tuple[int, ...]:
        """The shape that ``y`` must have."""
        return (self.graph.num_rows,)

    def check_labels(self) -> None:
        """Refuse labels that are no classes."""
        wrong = ((self.y < 0) | (self.y >= self.num_classes)).nonzero()
        if wrong.numel():
            node = int(wrong[0])
            raise InputError(
                f"data set {self.name}: label {int(self.y[node])} of node {node} is outside "
                f"[0, {self.num_classes})"
            )

    def split(self, seed: int) -> Split:
        """The split that belongs to ``seed``.

        Raises:
            InputError: A part is empty, or a node is in two parts: that would leak labels.
        """
        split = self.split_rule(seed)
        parts = {"train": split.train, "val": split.val, "test": split.test}
        for part, ids in parts.items():
            if ids.numel() == 0:
                raise InputError(f"data set {self.name}: the {part} split is empty")
            if int(ids.min()) < 0 or int(ids.max()) >= self.graph.num_rows:
                raise InputError(
                    f"data set {self.name}: the {part} split holds node ids outside "
                    f"[0, {self.graph.num_rows})"
                )
        node, count = torch.cat(list(parts.values())).unique(return_counts=True)
        if int(count.max()) > 1:
            twice = int(node[count.argmax()])
            raise InputError(f"data set {self.name}: node {twice} occurs twice in its split")
        return split

    @cached_property
    def digest(self) -> str:
        """SHA-256 over edges, features and labels: tells two versions of a data set apart."""
        digest = hashlib.sha256()
        for tensor in (self.graph.edge_index, self.x, self.y):
            digest.update(str(list(tensor.shape)).encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class BinaryDataset(NodeDataset):
    """Nodes of two classes, told apart by a threshold that is left open.

    Class 1 is usually the rare one, so that accuracy says little. ``official`` takes labels and
    scores of class 1, both [n].
    """

    def check_labels(self) -> None:
        """Refuse other numbers of classes than two."""
        if self.num_classes != 2:
            raise InputError(
                f"data set {self.name}: {self.num_classes} classes, but a binary one has two"
            )
        super().check_labels()


@dataclass(frozen=True, eq=False)
class MultiLabelDataset(NodeDataset):
    """Nodes of which each has several labels that are 0 or 1.

    ``y`` is [n, T], ``num_classes`` is T, and ``official`` takes labels and scores, both [n, T].
    """

    def shape_of_labels(self) -> tuple[int, ...]:
        """The shape that ``y`` must have."""
        return self.graph.num_rows, self.num_classes

    def check_labels(self) -> None:
        """Refuse labels that are neither 0 nor 1."""
        wrong = ((self.y != 0) & (self.y != 1)).nonzero()
        if wrong.numel():
            node, task = wrong[0].tolist()
            raise InputError(
                f"data set {self.name}: label {task} of node {node} is "
                f"{int(self.y[node, task])}, neither 0 nor 1"
            )
