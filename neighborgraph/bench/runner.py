"""Seeds times recipe gives records."""

import shlex
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from neighborgraph import models
from neighborgraph.bench import machine
from neighborgraph.bench.record import Record, append_record, read_records
from neighborgraph.data import NodeDataset
from neighborgraph.errors import ConfigError
from neighborgraph.tasks import Checkpoints, NodeClassification, Recipe, fit


@dataclass(frozen=True)
class Run:
    """One model on one data set, for any number of seeds.

    Attributes:
        model: Command-line name.
        dataset: The data.
        recipe: The numbers, overrides applied.
        overrides: What was changed in them, as typed.
        device: Where to train.
        out: Output folder; the caller owns it.
        resume: Whether recorded seeds are taken over and unfinished ones continued.
    """

    model: str
    dataset: NodeDataset
    recipe: Recipe
    overrides: tuple[str, ...]
    device: torch.device
    out: Path
    resume: bool

    @property
    def records_path(self) -> Path:
        """The file that all runs in this folder append to."""
        return self.out / "records.jsonl"

    def identity(self, seed: int) -> dict[str, Any]:
        """All that decides the result of a seed."""
        return {
            "model": self.model,
            "dataset": self.dataset.name,
            "data digest": self.dataset.digest,
            "device": self.device.type,
            "seed": seed,
            **self.recipe.flat(),
        }

    def recorded(self, seed: int) -> Record | None:
        """The newest record of a seed that ran with the same numbers."""
        for record in reversed(read_records(self.records_path)):
            same = (
                record.model == self.model
                and record.dataset == self.dataset.name
                and record.recipe == self.recipe.name
                and tuple(record.overrides) == self.overrides
                and record.seed == seed
            )
            if same:
                return record
        return None

    def checkpoints(self, seed: int) -> Checkpoints:
        """Where a seed saves its state."""
        name = f"{self.model}-{self.dataset.name}"
        return Checkpoints(self.out / "checkpoints" / name / f"seed-{seed}")

    def prepare(self, seed: int) -> None:
        """Make way for a seed, or refuse to touch an unfinished run that nobody asked to continue.

        Raises:
            ConfigError: The folder holds an unfinished run and ``resume`` is false.
            CheckpointError: All of its checkpoints are damaged.
        """
        checkpoints = self.checkpoints(seed)
        checkpoint = checkpoints.load()
        if checkpoint is None:
            return
        if not checkpoint.state["finished"]:
            if not self.resume:
                raise ConfigError(
                    f"{checkpoints.folder} holds a run that stopped after epoch "
                    f"{checkpoint.step}; add --resume to continue it, or choose another folder "
                    "with --out"
                )
        elif not self.resume or checkpoint.state["identity"] != self.identity(seed):
            checkpoints.clear()

    def build_model(self) -> torch.nn.Module:
        """A freshly initialised model on the run's device.

        Raises:
            ConfigError: The recipe's model options are not the model's.
        """
        try:
            model = models.build(
                self.model,
                self.dataset.x.shape[1],
                self.dataset.num_classes,
                **self.recipe.model,
            )
        except ConfigError as error:
            raise ConfigError(f"recipe {self.recipe.name}, section [model]: {error}") from error
        return model.to(self.device)

    def run_seed(self, seed: int) -> Record:
        """Train one seed, or continue it, and append its record.

        Raises:
            CheckpointError: The seed's checkpoint belongs to other settings.
            TrainingError: The loss is not a number.
            Stopped: A signal came; the state was saved.
        """
        torch.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        model = self.build_model()
        task = NodeClassification(
            self.dataset,
            seed=seed,
            row_normalize=self.recipe.data.row_normalize,
            device=self.device,
        )
        fitted = fit(
            model,
            task,
            optimizer=self.recipe.optimizer,
            training=self.recipe.training,
            checkpoints=self.checkpoints(seed),
            identity=self.identity(seed),
            label=f"{self.model} on {self.dataset.name}, seed {seed}",
        )
        record = Record(
            model=self.model,
            dataset=self.dataset.name,
            recipe=self.recipe.name,
            overrides=self.overrides,
            seed=seed,
            metrics=fitted.metrics,
            best_epoch=fitted.best_epoch,
            seconds=fitted.seconds,
            peak_memory_mb=machine.peak_memory_mb(self.device),
            device=machine.device_name(self.device),
            versions=machine.versions(),
            commit=machine.commit(),
            command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        append_record(self.records_path, record)
        return record


def run_seeds(run: Run, seeds: int) -> list[Record]:
    """The records of seeds 0 .. ``seeds`` - 1, trained or, when resuming, taken over."""
    records = []
    for seed in range(seeds):
        record = run.recorded(seed) if run.resume else None
        records.append(record or run.run_seed(seed))
    return records
