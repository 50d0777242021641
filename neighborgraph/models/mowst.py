"""Mowst, from "Mixture of Weak and Strong Experts on Graphs" (Zeng et al., ICLR 2024)."""

import inspect
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.models.confidence import ConfidenceGate, dispersion
from neighborgraph.nn import Features

GATE_CHANNELS = 16
"""Hidden width of the gate that is made where none is given."""
EVALUATIONS = ("paper", "released")


@dataclass(frozen=True)
class Opinions:
    """What both experts say about every node, and how far the weak one is trusted.

    Attributes:
        weak: [n, C] scores p of the weak expert.
        strong: [n, C] scores q of the strong expert.
        confidence: [n] weights of the weak expert, in [0, 1].
    """

    weak: Tensor
    strong: Tensor
    confidence: Tensor


class MowstModel(nn.Module):
    r"""A weak expert that knows a node alone, and a strong one for where that does not do.

    .. math::

        C_i = G(D(\operatorname{softmax} p_i)), \qquad
        L = \frac{1}{|T|} \sum_{i \in T}
            C_i \, \ell(p_i, y_i) + (1 - C_i) \, \ell(q_i, y_i)

    p are the scores of the weak expert, q those of the strong one, D is `dispersion`, G the gate
    (`ConfidenceGate`), :math:`\ell` the cross entropy, T the training nodes (arXiv 2311.05185).
    D is computed without a gradient: the weak expert learns through p, not through C.

    The weak expert and the gate learn in one turn, the strong expert in another; see
    `neighborgraph.tasks.MixtureClassification`. `sample` answers as the paper does, with the weak
    expert where a uniform number is below C and else with the strong one. `forward` gives the
    distribution of that answer and `node_accuracies` its expected accuracy, without drawing.

    An expert is any module. One whose ``forward`` has a parameter ``edge_index``, such as PyG's
    models, is called with features and edge index; one with a parameter ``graph`` with features
    and graph; any other with the features alone.
    """

    def __init__(
        self,
        weak: nn.Module,
        strong: nn.Module,
        gate: nn.Module | None = None,
        *,
        evaluation: str = "paper",
    ):
        """Join two experts.

        Args:
            weak: Gives [n, C] scores, usually an MLP.
            strong: Gives [n, C] scores, usually a GNN.
            gate: Called with ([n, 2] dispersions, features), gives [n] confidences; by default a
                `ConfidenceGate` of dispersions alone.
            evaluation: ``paper``, or ``released`` for what the authors' code does in evaluation
                mode: it takes the softmax twice before the dispersion, so that the gate sees
                smaller ones than it was trained with.

        Raises:
            InputError: ``evaluation`` is neither of the two.
        """
        super().__init__()
        if evaluation not in EVALUATIONS:
            raise InputError(f"evaluation={evaluation!r} must be one of {', '.join(EVALUATIONS)}")
        self.weak = weak
        self.strong = strong
        self.gate = ConfidenceGate(GATE_CHANNELS) if gate is None else gate
        self.evaluation = evaluation

    @property
    def turns(self) -> tuple[tuple[nn.Module, ...], ...]:
        """Which parts learn together, turn by turn."""
        return ((self.weak, self.gate), (self.strong,))

    @property
    def as_released(self) -> bool:
        """Whether this call is to do what the released code does in evaluation mode."""
        return self.evaluation == "released" and not self.training

    def opinions(self, x: Features, graph: Graph | Tensor) -> Opinions:
        """Both experts' scores and the confidence.

        Args:
            x: [n, F] features, of a kind that both experts take.
            graph: The n nodes' neighbours; or their [2, e] edge index, for experts that take one.

        Raises:
            InputError: The experts' scores differ in shape, or have fewer than two columns.
        """
        weak, strong = ask(self.weak, x, graph), ask(self.strong, x, graph)
        if weak.shape != strong.shape:
            raise InputError(
                f"the weak expert gives scores {list(weak.shape)} and the strong one "
                f"{list(strong.shape)}; both must be [n, C]"
            )
        judged = weak.detach()
        if self.as_released:
            judged = judged.softmax(-1)
        return Opinions(weak, strong, self.gate(dispersion(judged), x))

    def forward(self, x: Features, graph: Graph | Tensor) -> Tensor:
        r"""Scores of the mixture, :math:`\log(C P_{weak} + (1 - C) P_{strong})`.

        Args:
            x: As in `opinions`.
            graph: As in `opinions`.

        Returns:
            [n, C].
        """
        return self.scores(self.opinions(x, graph))

    def scores(self, opinions: Opinions) -> Tensor:
        """[n, C] what `forward` gives, from opinions."""
        return mixed_probabilities(opinions)

    def node_losses(self, opinions: Opinions, y: Tensor) -> Tensor:
        """[n] the loss of each node, C l(p, y) + (1 - C) l(q, y), for labels [n]."""
        weak = F.cross_entropy(opinions.weak, y, reduction="none")
        strong = F.cross_entropy(opinions.strong, y, reduction="none")
        return blend(opinions.confidence, weak, strong)

    def node_accuracies(self, opinions: Opinions, y: Tensor) -> Tensor:
        """[n] the probability that `sample` gives the label, for labels [n]."""
        weak = (opinions.weak.argmax(-1) == y).to(opinions.weak.dtype)
        strong = (opinions.strong.argmax(-1) == y).to(opinions.weak.dtype)
        return blend(opinions.confidence, weak, strong)

    def sample(
        self, x: Features, graph: Graph | Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """A class for every node from one expert, the weak one with probability C.

        Args:
            x: As in `opinions`.
            graph: As in `opinions`.
            generator: Source of the uniform numbers, on the device of the scores.

        Returns:
            [n] int64 classes.
        """
        opinions = self.opinions(x, graph)
        confidence = opinions.confidence
        u = torch.rand(
            confidence.shape,
            generator=generator,
            device=confidence.device,
            dtype=confidence.dtype,
        )
        return torch.where(u < confidence, opinions.weak.argmax(-1), opinions.strong.argmax(-1))


class MowstStarModel(MowstModel):
    r"""Mowst*: both experts learn together from the loss of their mixed scores.

    .. math::

        z_i = C_i \, p_i + (1 - C_i) \, q_i, \qquad
        L = \frac{1}{|T|} \sum_{i \in T} \ell(z_i, y_i)

    `forward` gives z, in training and in evaluation. With ``evaluation="released"`` the model in
    evaluation mode mixes probabilities instead of scores, beside the softmax that is taken twice.
    """

    @property
    def turns(self) -> tuple[tuple[nn.Module, ...], ...]:
        """One turn, in which everything learns."""
        return ((self.weak, self.strong, self.gate),)

    def forward(self, x: Features, graph: Graph | Tensor) -> Tensor:
        """The mixed scores z.

        Args:
            x: As in `opinions`.
            graph: As in `opinions`.

        Returns:
            [n, C].
        """
        return self.scores(self.opinions(x, graph))

    def node_losses(self, opinions: Opinions, y: Tensor) -> Tensor:
        """[n] the cross entropy of each node's mixed scores, for labels [n]."""
        return F.cross_entropy(self.scores(opinions), y, reduction="none")

    def node_accuracies(self, opinions: Opinions, y: Tensor) -> Tensor:
        """[n] 1 where the largest mixed score is at the label, else 0, for labels [n]."""
        return (self.scores(opinions).argmax(-1) == y).to(opinions.weak.dtype)

    def scores(self, opinions: Opinions) -> Tensor:
        """[n, C] mixed scores z."""
        if self.as_released:
            return mixed_probabilities(opinions)
        return blend(opinions.confidence[:, None], opinions.weak, opinions.strong)


def blend(confidence: Tensor, weak: Tensor, strong: Tensor) -> Tensor:
    """``confidence`` parts of ``weak``, the rest of ``strong``."""
    return confidence * weak + (1 - confidence) * strong


def mixed_probabilities(opinions: Opinions) -> Tensor:
    """[n, C] logarithms of the mixed probabilities."""
    weak, strong = opinions.weak.softmax(-1), opinions.strong.softmax(-1)
    mixed = blend(opinions.confidence[:, None], weak, strong)
    return mixed.clamp_min(torch.finfo(mixed.dtype).tiny).log()


def ask(expert: nn.Module, x: Features, graph: Graph | Tensor) -> Tensor:
    """An expert's scores, from the arguments that its ``forward`` names."""
    names = inspect.signature(expert.forward).parameters
    arguments: tuple[Any, ...] = (x,)
    if "edge_index" in names:
        arguments = (x, graph.edge_index if isinstance(graph, Graph) else graph)
    elif "graph" in names:
        arguments = (x, graph)
    return expert(*arguments)
