"""Mixture: two experts that learn together or in turns, with turns that did not help undone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.data import NodeDataset
from neighborgraph.graph import Graph
from neighborgraph.tasks.base import Evaluation, Task
from neighborgraph.tasks.node_classification import NodeClassification
from neighborgraph.tasks.progress import Progress
from neighborgraph.tasks.settings import PRETRAINED, TurnSettings
from neighborgraph.tasks.step import Loss, Step


class Opinions(Protocol):
    """What two experts say about every node."""

    @property
    def weak(self) -> Tensor:
        """Scores [n, C] of the weak expert."""
        ...

    @property
    def strong(self) -> Tensor:
        """Scores [n, C] of the strong expert."""
        ...

    @property
    def confidence(self) -> Tensor:
        """Weights [n] of the weak expert."""
        ...


class Mixture(Protocol):
    """What a model must offer; `neighborgraph.models.MowstModel` does."""

    weak: nn.Module
    strong: nn.Module

    @property
    def turns(self) -> tuple[tuple[nn.Module, ...], ...]:
        """Which parts learn together, turn by turn."""
        ...

    def opinions(self, x: Tensor | Graph, graph: Graph) -> Opinions:
        """Scores of both experts, and the confidence."""
        ...

    def node_losses(self, opinions: Opinions, y: Tensor) -> Tensor:
        """The loss of each node."""
        ...

    def node_accuracies(self, opinions: Opinions, y: Tensor) -> Tensor:
        """The probability that each node is classified as its label."""
        ...

    def scores(self, opinions: Opinions) -> Tensor:
        """Scores [n, C] of the mixture."""
        ...


@dataclass(frozen=True)
class Turn:
    """A stretch of epochs in which some parts learn and the others stay as they are.

    Attributes:
        number: Turns before this one.
        learners: The parts that learn.
        alone: The name of the expert that learns from its own loss; empty for the mixture's.
    """

    number: int
    learners: tuple[nn.Module, ...]
    alone: str = ""


class MixtureClassification(Task):
    r"""Full-batch classification of nodes by a mixture of two experts, in turns.

    First the experts that the settings name learn alone, each from its own cross entropy. Then the
    model's own turns come round: two for Mowst, which change when ``patience`` epochs brought
    nothing better on the validation nodes, and one for Mowst*, which lasts. A turn that ends goes
    back to the best state so far: its own best one, or, when it did not help, the one before it.
    The next turn starts with fresh moments of Adam. Training ends after ``idle_rounds`` rounds of
    turns without a gain.

    A part that does not learn is in evaluation mode, as it will be used. The paper's outer loop
    goes back for all parts; the released code leaves out the gate.

    The metrics ``train_acc``, ``val_acc`` and ``test_acc`` are those of the mixture, the expected
    ones where an expert is drawn. ``weak_test_acc`` and ``strong_test_acc`` are each expert's
    alone, ``confidence`` is the mean weight of the weak one.
    """

    def __init__(
        self,
        dataset: NodeDataset,
        *,
        seed: int = 0,
        row_normalize: bool = False,
        turns: TurnSettings | None = None,
        device: torch.device | str = "cpu",
    ):
        """Prepare features, graph and split.

        Args:
            dataset: The nodes.
            seed: Which split of the data set to use.
            row_normalize: Divide each node's features by their sum.
            turns: When turns change; by default `TurnSettings`'s own numbers.
            device: Where to train.
        """
        self.nodes = NodeClassification(
            dataset, seed=seed, row_normalize=row_normalize, device=device
        )
        self.settings = turns or TurnSettings()
        self.state = {"turn": 0, "began": 0, "idle": 0}
        """Turns before this one, epochs before it, and turns without a gain in a row."""

    def step(self, model: nn.Module, adam: torch.optim.Adam) -> Step:
        """A step that changes only the parts whose turn it is."""
        return TurnStep(
            self.loss,
            model,
            adam,
            lambda: [p for part in self.turn(model).learners for p in part.parameters()],
        )

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """Mean loss of the training nodes, of what the turn is about."""
        mixture, turn = as_mixture(model), self.turn(model)
        for part in model.children():
            part.train(model.training and part in turn.learners)
        opinions = mixture.opinions(self.nodes.x, self.nodes.graph)
        return self.node_losses(mixture, turn, opinions)[self.nodes.parts["train"]].mean()

    def evaluate(self, model: nn.Module) -> Evaluation:
        """The loss or one minus the metric on the validation nodes, and all metrics."""
        mixture, turn = as_mixture(model), self.turn(model)
        opinions = mixture.opinions(self.nodes.x, self.nodes.graph)
        name, val = self.nodes.target.metric, self.nodes.parts["val"]
        metrics = {
            f"{part}_{name}": self.measure(mixture, opinions, ids)
            for part, ids in self.nodes.parts.items()
        }
        metrics |= {
            f"{expert}_test_{name}": self.measure_alone(opinions, expert, self.nodes.parts["test"])
            for expert in ("weak", "strong")
        }
        metrics["confidence"] = opinions.confidence.double().mean().item()
        if self.settings.select == "loss":
            selects = self.node_losses(mixture, turn, opinions)[val].mean().item()
        elif turn.alone:
            selects = 1 - self.measure_alone(opinions, turn.alone, val)
        else:
            selects = 1 - metrics[f"val_{name}"]
        return Evaluation(selects, metrics)

    def measure(self, mixture: Mixture, opinions: Opinions, ids: Tensor) -> float:
        """The mixture's accuracy on some nodes, the expected one where an expert is drawn."""
        return mixture.node_accuracies(opinions, self.nodes.y)[ids].double().mean().item()

    def measure_alone(self, opinions: Opinions, expert: str, ids: Tensor) -> float:
        """The metric of one expert on some nodes."""
        return self.nodes.target.measure(getattr(opinions, expert)[ids], self.nodes.y[ids])

    def begin(self, progress: Progress) -> None:
        """Take up the turn that a checkpoint left off in, or the first one."""
        self.state = progress.task_state or {"turn": 0, "began": 0, "idle": 0}
        progress.task_state = self.state

    def after_epoch(self, progress: Progress) -> None:
        """End the turn when nothing better came for ``patience`` epochs."""
        turn = self.turn(progress.model)
        round_length = len(as_mixture(progress.model).turns)
        if not turn.alone and round_length == 1:
            return
        quiet = progress.epoch - max(progress.best_epoch, self.state["began"])
        if quiet < self.settings.patience:
            return
        progress.model.load_state_dict(progress.best_state)
        progress.adam.state.clear()
        helped = progress.best_epoch > self.state["began"]
        self.state["idle"] = 0 if turn.alone or helped else self.state["idle"] + 1
        self.state["turn"] += 1
        self.state["began"] = progress.epoch
        if turn.alone:
            # From here on another loss selects.
            progress.model.eval()
            with torch.no_grad():
                progress.note_best(self.evaluate(progress.model))
        elif self.state["idle"] >= self.settings.idle_rounds * round_length:
            progress.finished = True

    def turn(self, model: nn.Module) -> Turn:
        """The turn that it is."""
        number = self.state["turn"]
        alone = PRETRAINED[self.settings.pretrain]
        if number < len(alone):
            return Turn(number, (getattr(model, alone[number]),), alone[number])
        turns = as_mixture(model).turns
        return Turn(number, turns[(number - len(alone)) % len(turns)])

    def node_losses(self, mixture: Mixture, turn: Turn, opinions: Opinions) -> Tensor:
        """[n] the losses that a turn is about."""
        if turn.alone:
            scores = getattr(opinions, turn.alone)
            return F.cross_entropy(scores, self.nodes.y, reduction="none")
        return mixture.node_losses(opinions, self.nodes.y)


@final
class BinaryMixtureClassification(MixtureClassification):
    """A mixture for nodes of two classes; the metric is the area under the ROC curve of class 1.

    Where an expert is drawn, it is that of the mixed probabilities.
    """

    def measure(self, mixture: Mixture, opinions: Opinions, ids: Tensor) -> float:
        """The area under the ROC curve of the mixture's scores for some nodes."""
        return self.nodes.target.measure(mixture.scores(opinions)[ids], self.nodes.y[ids])


@final
class TurnStep(Step):
    """Runs every batch operation by operation, and moves only the parameters that learn."""

    def __init__(
        self,
        loss: Loss,
        model: nn.Module,
        adam: torch.optim.Adam,
        learners: Callable[[], Iterable[nn.Parameter]],
    ) -> None:
        """Keep who learns.

        Args:
            loss: (model, *batch) to a scalar.
            model: The model.
            adam: Its optimizer, over all parameters; it leaves alone those without a gradient.
            learners: The parameters that learn at the time of a step.
        """
        super().__init__(loss, model, adam)
        self.learners = learners

    def __call__(self, *batch: Tensor) -> None:
        """Train on one batch."""
        self.adam.zero_grad()
        loss = self.loss(self.model, *batch)
        loss.backward(inputs=list(self.learners()))
        self.adam.step()
        self.total += loss.detach()
        self.count += 1


def as_mixture(model: nn.Module) -> Mixture:
    """``model``, which the caller made a mixture."""
    return model  # pyright: ignore[reportReturnType]
