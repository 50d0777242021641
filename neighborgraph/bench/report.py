"""From records to groups of seeds, and to the form that OGB's leaderboards ask for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from neighborgraph.bench.record import Record
from neighborgraph.data import LEADERBOARD_SEEDS, OGB, SYNTHETIC
from neighborgraph.models import MODELS

METRICS = (
    ("acc", "accuracy"),
    ("rocauc", "ROC-AUC"),
    ("hits@20", "Hits@20"),
    ("hits@50", "Hits@50"),
    ("mrr", "MRR"),
)
"""OGB's metrics, as a record names them and as the form does."""


@dataclass(frozen=True)
class Group:
    """Seeds of one model with the same numbers on the same data.

    Attributes:
        records: One a seed, in the order of the seeds.
    """

    records: Sequence[Record]

    @property
    def first(self) -> Record:
        """Any record, for what all have in common."""
        return self.records[0]

    @property
    def title(self) -> str:
        """Model, data set and what was changed in the recipe."""
        return " ".join(
            [self.first.model, "on", self.first.dataset]
            + [f"--set {text}" for text in self.first.overrides]
        )

    @property
    def ogb_name(self) -> str | None:
        """The name at OGB, whether these are its data or made-up ones; None for other data."""
        name = self.first.dataset.removeprefix(SYNTHETIC)
        return name if name in OGB else None

    @property
    def missing_seeds(self) -> list[int]:
        """The seeds that a leaderboard asks for and that have no record."""
        there = {record.seed for record in self.records}
        return [seed for seed in range(LEADERBOARD_SEEDS) if seed not in there]


def group_records(records: Iterable[Record]) -> list[Group]:
    """Groups in the order of their first record; of a seed that ran again the newest counts."""
    groups: dict[tuple, dict[int, Record]] = {}
    for record in records:
        numbers = record.model, record.dataset, record.recipe, tuple(record.overrides)
        key = *numbers, record.digest, record.protocol, record.parameters
        groups.setdefault(key, {})[record.seed] = record
    return [Group([seeds[seed] for seed in sorted(seeds)]) for seeds in groups.values()]


def submission(group: Group) -> str:
    """What the form of OGB's leaderboards asks for, one line an entry.

    Args:
        group: Complete; seeds beyond those that OGB asks for are left out.
    """
    records = [record for record in group.records if record.seed < LEADERBOARD_SEEDS]
    model = MODELS[group.first.model]
    metric, title = next(pair for pair in METRICS if f"test_{pair[0]}" in group.first.metrics)
    entries = [
        ("Dataset", str(group.ogb_name)),
        ("Method", model.__name__),
        ("External data", "No"),
        (f"Test {title}", raw_spread([record.metrics[f"test_{metric}"] for record in records])),
        (
            f"Validation {title}",
            raw_spread([record.metrics[f"val_{metric}"] for record in records]),
        ),
        ("Seeds", ", ".join(str(record.seed) for record in records)),
        ("Selected on", "validation"),
        ("Parameters", f"{group.first.parameters:,}"),
        ("Hardware", distinct(record.device for record in records)),
        ("Versions", distinct(versions(record) for record in records)),
        ("Code", distinct(f"neighborgraph at {record.commit or '?'}" for record in records)),
        ("Command", distinct(record.command for record in records)),
        ("Recipe", " ".join([group.first.recipe, *group.first.overrides])),
        ("Paper", (model.__doc__ or "").splitlines()[0]),
    ]
    heading = f"Submission to the leaderboard of {group.ogb_name}"
    if group.first.dataset.startswith(SYNTHETIC):
        heading = f"SYNTHETIC DATA, NOT FOR SUBMISSION: {group.first.dataset}"
        entries[0] = ("Dataset", f"SYNTHETIC, in the format of {group.ogb_name}")
    width = max(len(name) for name, _ in entries)
    lines = [f"{name:<{width}}  {value}" for name, value in entries]
    return "\n".join([heading, "-" * len(heading), *lines])


def raw_spread(fractions: Sequence[float]) -> str:
    """Mean and unbiased standard deviation of what the evaluator gave, as fractions."""
    return f"{mean(fractions):.4f} ± {stdev(fractions):.4f}"


def versions(record: Record) -> str:
    """The packages that a record names."""
    return ", ".join(f"{name} {version}" for name, version in record.versions.items())


def distinct(texts: Iterable[str]) -> str:
    """Each text once, in order."""
    return "; ".join(dict.fromkeys(texts))
