"""Seeds times recipe gives records."""

import shlex
import sys
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from neighborgraph.bench import machine
from neighborgraph.bench.assembly import Dataset, assemble, check_options
from neighborgraph.bench.history import History, write_history
from neighborgraph.bench.record import Record, append_record, read_records
from neighborgraph.errors import ConfigError
from neighborgraph.tasks import Checkpoints, Fitted, Ranker, Recipe, Recommendation, fit
from neighborgraph.tasks.processes import ALONE, Processes
from neighborgraph.tasks.tensorboard import TensorBoard

RANKER = "ranker"
"""Folder of a seed's finished recommender, in the folder of its checkpoints."""


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
        tensorboard: Where to write event files; None writes none.
        processes: Those that train together; the first of them writes.
    """

    model: str
    dataset: Dataset
    recipe: Recipe
    overrides: tuple[str, ...]
    device: torch.device
    out: Path
    resume: bool
    tensorboard: Path | None = None
    processes: Processes = ALONE

    @property
    def name(self) -> str:
        """Model and data set, as folders are named."""
        return f"{self.model}-{self.dataset.name}"

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
                and record.digest in ("", self.dataset.digest)
            )
            if same:
                return record
        return None

    def checkpoints(self, seed: int) -> Checkpoints:
        """Where a seed saves its state."""
        return Checkpoints(self.out / "checkpoints" / self.name / f"seed-{seed}")

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

    def check(self) -> None:
        """Refuse a recipe whose model options are not the model's, before anything is trained.

        Raises:
            ConfigError: An option is unknown, missing, of another type or out of range.
        """
        try:
            check_options(self.dataset, self.model, self.recipe)
        except ConfigError as error:
            raise ConfigError(f"recipe {self.recipe.name}, section [model]: {error}") from error

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
        model, task = assemble(
            self.dataset, self.model, self.recipe, seed, self.device, self.processes
        )
        with self.board(seed) as watch:
            fitted = fit(
                model,
                task,
                optimizer=self.recipe.optimizer,
                training=self.recipe.training,
                checkpoints=self.checkpoints(seed),
                identity=self.identity(seed),
                label=f"{self.model} on {self.dataset.name}, seed {seed}",
                watch=watch,
            )
        parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
        record = self.record(seed, fitted, task.official_metrics(model), parameters)
        if self.processes.leads:
            if isinstance(task, Recommendation):
                ranker = Ranker.of(*task.embeddings(model), task.data)
                ranker.save(self.checkpoints(seed).folder / RANKER, fitted.best_epoch)
            write_history(self.out, History(self.name, seed, fitted.history))
            append_record(self.records_path, record)
        return record

    def record(
        self, seed: int, fitted: Fitted, official: dict[str, float], parameters: int
    ) -> Record:
        """What is to be kept of a seed that was trained just now.

        Args:
            seed: The seed.
            fitted: Its training.
            official: Metrics by the data set's own evaluator, which count more than ours.
            parameters: Numbers that were trained.
        """
        return Record(
            model=self.model,
            dataset=self.dataset.name,
            recipe=self.recipe.name,
            overrides=self.overrides,
            seed=seed,
            metrics=fitted.metrics | official,
            best_epoch=fitted.best_epoch,
            seconds=fitted.seconds,
            peak_memory_mb=machine.peak_memory_mb(self.device),
            device=machine.device_name(self.device, self.processes.size),
            versions=machine.versions(),
            commit=machine.commit(),
            command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            protocol=self.recipe.split.protocol,
            digest=self.dataset.digest,
            parameters=parameters,
        )

    def board(self, seed: int) -> AbstractContextManager[TensorBoard | None]:
        """What writes event files while a seed trains, if any are wanted."""
        if self.tensorboard is None or not self.processes.leads:
            return nullcontext()
        return closing(TensorBoard(self.tensorboard / self.name / f"seed-{seed}"))


def run_seeds(run: Run, seeds: int) -> list[Record]:
    """The records of seeds 0 .. ``seeds`` - 1, trained or, when resuming, taken over."""
    records = []
    for seed in range(seeds):
        record = run.recorded(seed) if run.resume else None
        records.append(record or run.run_seed(seed))
    return records
