"""Target: what is known of a node, and how scores are held to it."""

from abc import ABC, abstractmethod
from functools import singledispatch
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from neighborgraph.data import BinaryDataset, MultiLabelDataset, NodeDataset
from neighborgraph.tasks.metrics import accuracy, roc_auc


class Target(ABC):
    """The loss, the metric and the predictions that belong to a kind of labels.

    Attributes:
        metric: The metric's name, after that of a part.
    """

    metric: ClassVar[str]

    @abstractmethod
    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of some nodes' scores."""

    @abstractmethod
    def measure(self, scores: Tensor, labels: Tensor) -> float:
        """The metric of some nodes' scores, a fraction."""

    @abstractmethod
    def predict(self, scores: Tensor) -> Tensor:
        """What the data set's own evaluator is given."""


class OneOfSeveral(Target):
    """Each node is of one class; the metric is the accuracy."""

    metric: ClassVar[str] = "acc"

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy."""
        return F.cross_entropy(scores, labels)

    def measure(self, scores: Tensor, labels: Tensor) -> float:
        """Accuracy."""
        return accuracy(scores, labels)

    def predict(self, scores: Tensor) -> Tensor:
        """The classes."""
        return scores.argmax(dim=-1)


class OneOfTwo(OneOfSeveral):
    """Each node is of one of two classes; the metric is the ROC-AUC of class 1."""

    metric: ClassVar[str] = "rocauc"

    def measure(self, scores: Tensor, labels: Tensor) -> float:
        """Area under the ROC curve."""
        return roc_auc(self.predict(scores)[:, None], labels[:, None])

    def predict(self, scores: Tensor) -> Tensor:
        """By how much class 1 is ahead."""
        return scores[:, 1] - scores[:, 0]


class YesOrNo(Target):
    """Each node has several labels that are 0 or 1; the metric is their mean ROC-AUC."""

    metric: ClassVar[str] = "rocauc"

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Binary cross entropy of all labels."""
        return F.binary_cross_entropy_with_logits(scores, labels.to(scores.dtype))

    def measure(self, scores: Tensor, labels: Tensor) -> float:
        """Area under the ROC curve, averaged over the labels."""
        return roc_auc(scores, labels)

    def predict(self, scores: Tensor) -> Tensor:
        """The scores themselves."""
        return scores


@singledispatch
def target_of(dataset: NodeDataset) -> Target:
    """The target that belongs to a data set's type."""
    return OneOfSeveral()


@target_of.register
def _(dataset: BinaryDataset) -> Target:
    return OneOfTwo()


@target_of.register
def _(dataset: MultiLabelDataset) -> Target:
    return YesOrNo()
