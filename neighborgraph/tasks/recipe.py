"""Recipes: the numbers for one model on one data set, read from TOML and checked key by key."""

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError
from neighborgraph.tasks.link_settings import LinkSettings, PredictorSettings, PublishedLinks
from neighborgraph.tasks.settings import (
    BatchSettings,
    ConsistencySettings,
    DataSettings,
    GeneratorSettings,
    OptimizerSettings,
    Published,
    PublishedRanking,
    SamplingSettings,
    SplitSettings,
    TrainingSettings,
    TurnSettings,
)
from neighborgraph.tasks.stream_settings import PublishedStream, StreamSettings

RECIPES = Path(__file__).parent.parent / "recipes"
MAX_BYTES = 2**20
DEFAULT_TASK = "node classification"
WORD = re.compile(r"[A-Za-z][A-Za-z-]*")
Table = dict[str, Any]
T = TypeVar("T")

PublishedFigures = Published | PublishedRanking | PublishedLinks | PublishedStream
"""What a recipe's section ``[published]`` may be."""

SECTIONS: dict[str, dict[str, type]] = {
    "node classification": {
        "data": DataSettings,
        "optimizer": OptimizerSettings,
        "training": TrainingSettings,
        "published": Published,
    },
    "expert mixture": {
        "data": DataSettings,
        "turns": TurnSettings,
        "optimizer": OptimizerSettings,
        "training": TrainingSettings,
        "published": Published,
    },
    "consistency training": {
        "data": DataSettings,
        "consistency": ConsistencySettings,
        "optimizer": OptimizerSettings,
        "training": TrainingSettings,
        "published": Published,
    },
    "local augmentation": {
        "data": DataSettings,
        "generator": GeneratorSettings,
        "consistency": ConsistencySettings,
        "optimizer": OptimizerSettings,
        "training": TrainingSettings,
        "published": Published,
    },
    "sampled classification": {
        "data": DataSettings,
        "sampling": SamplingSettings,
        "optimizer": OptimizerSettings,
        "training": TrainingSettings,
        "published": Published,
    },
    "recommendation": {
        "split": SplitSettings,
        "batches": BatchSettings,
        "optimizer": OptimizerSettings,
        "training": TrainingSettings,
        "published": PublishedRanking,
    },
    "link prediction": {
        "predictor": PredictorSettings,
        "links": LinkSettings,
        "optimizer": OptimizerSettings,
        "training": TrainingSettings,
        "published": PublishedLinks,
    },
    "temporal link prediction": {
        "stream": StreamSettings,
        "optimizer": OptimizerSettings,
        "training": TrainingSettings,
        "published": PublishedStream,
    },
    "temporal node classification": {
        "stream": StreamSettings,
        "optimizer": OptimizerSettings,
        "training": TrainingSettings,
    },
}
"""Task to the sections that its recipes have beside ``[model]``."""


@dataclass(frozen=True)
class Recipe:
    """Everything that one training needs beside the data.

    Attributes:
        name: ``model/dataset``, or ``model/default`` where the data set has no recipe of its own.
        task: A key of ``SECTIONS``; the file's own key ``task``.
        model: Keyword arguments of the model.
        optimizer: Adam's numbers.
        training: How long to train.
        published: The figure to compare with, where there is one.
        data: How the features enter, for all tasks but recommendation.
        turns: How experts take turns, for mixtures.
        generator: How features are learned to be drawn, for local augmentation.
        consistency: How far predictions must agree, for consistency training and augmentation.
        sampling: How many nodes are seen, for classification in batches.
        split: How interactions are split, for recommendation.
        batches: How pairs are drawn, for recommendation.
        predictor: What scores links, for link prediction.
        links: How links are learned and judged, for link prediction.
        stream: How events are learned and judged, for tasks of streams.
    """

    name: str
    task: str
    model: Mapping[str, int | float | bool | str]
    optimizer: OptimizerSettings
    training: TrainingSettings
    published: PublishedFigures | None
    data: DataSettings = DataSettings()  # noqa: RUF009, it is frozen
    turns: TurnSettings = TurnSettings()  # noqa: RUF009, it is frozen
    generator: GeneratorSettings = GeneratorSettings()  # noqa: RUF009, it is frozen
    consistency: ConsistencySettings = ConsistencySettings()  # noqa: RUF009, it is frozen
    sampling: SamplingSettings = SamplingSettings()  # noqa: RUF009, it is frozen
    split: SplitSettings = SplitSettings()  # noqa: RUF009, it is frozen
    batches: BatchSettings = BatchSettings()  # noqa: RUF009, it is frozen
    predictor: PredictorSettings = PredictorSettings()  # noqa: RUF009, it is frozen
    links: LinkSettings = LinkSettings()  # noqa: RUF009, it is frozen
    stream: StreamSettings = StreamSettings()  # noqa: RUF009, it is frozen

    def flat(self) -> dict[str, Any]:
        """Every number under its dotted name, as ``--set`` spells it; not the published ones."""
        parts: dict[str, Mapping[str, Any]] = {"model": self.model}
        for section in SECTIONS[self.task]:
            if section != "published":
                parts[section] = vars(getattr(self, section))
        return {
            f"{section}.{key}": value
            for section, part in parts.items()
            for key, value in part.items()
        }


def load_recipe(
    model: str, dataset: str, overrides: Iterable[str] = (), folder: Path = RECIPES
) -> Recipe:
    """The recipe of a model on a data set, or the model's default one.

    Args:
        model: Name of a folder of recipes.
        dataset: Name of a recipe in it.
        overrides: Texts like ``optimizer.lr=0.01``, applied before the check.
        folder: Folder of all recipes.

    Raises:
        ConfigError: A file cannot be read, or a key or value in it or in ``overrides`` is wrong.
    """
    path = folder / model / f"{dataset}.toml"
    if not path.is_file():
        path = folder / model / "default.toml"
    tables, where = read_toml(path), str(path)
    for text in overrides:
        apply_override(tables, text)
        where += f" with --set {text}"
    return parse_recipe(f"{model}/{path.stem}", tables, where)


def read_toml(path: Path) -> Table:
    """The tables of a TOML file.

    Raises:
        ConfigError: The file is absent, too large, or not TOML.
    """
    try:
        content = path.read_bytes()
        if len(content) > MAX_BYTES:
            raise ConfigError(f"{path} has {len(content)} bytes; a recipe has at most {MAX_BYTES}")
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from error


def apply_override(tables: Table, text: str) -> None:
    """Put one ``section.key=value`` into ``tables``; the value is written as in TOML.

    Raises:
        ConfigError: The text has another form. Whether the key exists is for the recipe's check.
    """
    name, equals, value = text.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key and value.strip()):
        raise ConfigError(f"--set {text!r} must look like optimizer.lr=0.01")
    known = ("model", *sections_of(tables, "--set"))
    if section not in known:
        raise ConfigError(f"--set {text!r}: {unknown('section', section, known)}")
    if WORD.fullmatch(value) and value not in ("true", "false", "inf", "nan"):
        # A shell takes the quotes of a text away.
        value = f'"{value}"'
    try:
        parsed = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"--set {text!r}: {value!r} is not a TOML value such as 3, 0.5, true or "
            f'"text" ({error})'
        ) from error
    tables.setdefault(section, {})[key] = parsed["value"]


def parse_recipe(name: str, tables: Table, where: str) -> Recipe:
    """Check every section and key.

    Args:
        name: The recipe's name.
        tables: Section to keys.
        where: The file, for messages.

    Raises:
        ConfigError: A key is unknown, missing, of another type or out of range.
    """
    sections = sections_of(tables, where)
    known = ("model", *sections)
    for section, table in tables.items():
        if section == "task":
            continue
        if section not in known:
            raise ConfigError(f"{where}: {unknown('section', section, known)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{where}: {section} must be a table [{section}], got {table!r}")
    for key, value in tables.get("model", {}).items():
        if type(value) not in (int, float, bool, str):
            raise ConfigError(f"{where}: model.{key} must be one value, got {value!r}")
    parsed: dict[str, Any] = {"published": None} | {
        section: parse_section(kind, section, tables, where)
        for section, kind in sections.items()
        if section != "published" or section in tables
    }
    return Recipe(
        name=name,
        task=tables.get("task", DEFAULT_TASK),
        model=dict(tables.get("model", {})),
        **parsed,
    )


def sections_of(tables: Table, where: str) -> dict[str, type]:
    """The sections that belong to the task that a file names."""
    task = tables.get("task", DEFAULT_TASK)
    if task not in list(SECTIONS):
        raise ConfigError(f"{where}: {unknown('task', str(task), SECTIONS)}")
    return SECTIONS[task]


def parse_section(kind: type[T], section: str, tables: Table, where: str) -> T:
    """One section as the dataclass that describes it."""
    known = {f.name: f for f in fields(kind)}  # pyright: ignore[reportArgumentType]
    values = dict(tables.get(section, {}))
    for key, value in values.items():
        if key not in known:
            raise ConfigError(
                f"{where}: {unknown('key', f'{section}.{key}', dotted(section, known))}"
            )
        values[key] = check_value(f"{section}.{key}", value, known[key], where)
    for key, description in known.items():
        if description.default is MISSING and key not in values:
            raise ConfigError(f"{where}: {section}.{key} is missing")
    return kind(**values)


def check_value(name: str, value: Any, description: Any, where: str) -> Any:
    """``value`` in its field's type and range; an int becomes a float, nothing else changes."""
    wanted = description.type
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        raise ConfigError(
            f"{where}: {name} must be {wanted.__name__}, got {value!r} ({type(value).__name__})"
        )
    values = description.metadata.get("values")
    if values is not None and value not in values:
        raise ConfigError(
            f"{where}: {name} = {value!r}{nearest(value, values)} must be one of "
            f"{', '.join(values)}"
        )
    if wanted in (int, float):
        low, high = description.metadata["low"], description.metadata["high"]
        if not (low <= value <= high and math.isfinite(value)):
            raise ConfigError(f"{where}: {name} = {value} is outside [{low}, {high}]")
    return value


def dotted(section: str, keys: Iterable[str]) -> list[str]:
    """The full names of a section's keys."""
    return [f"{section}.{key}" for key in keys]


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The text of an unknown name."""
    known = list(known)
    return f"unknown {what} {name!r}{nearest(name, known)} (known: {', '.join(known)})"


def recipe_names(folder: Path = RECIPES) -> list[str]:
    """Every ``model/dataset`` that has a recipe, sorted."""
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.glob("*/*.toml"))
