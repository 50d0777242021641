"""Recipes: the numbers for one model on one data set, read from TOML and checked key by key."""

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError

RECIPES = Path(__file__).parent.parent / "recipes"
MAX_BYTES = 2**20
Table = dict[str, Any]
T = TypeVar("T")


def number(
    low: float = -math.inf, high: float = math.inf, default: Any = MISSING, optional: bool = False
) -> Any:
    """A field with an allowed range [low, high]; an optional one may be None, which is absent."""
    metadata = {"low": low, "high": high}
    if optional:
        return field(default=None, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class DataSettings:
    """How the features enter."""

    row_normalize: bool = False
    """Divide each node's features by their sum."""


@dataclass(frozen=True)
class OptimizerSettings:
    """Adam's numbers; the weight decay is its L2 term, on all parameters."""

    lr: float = number(low=0, high=1e6)
    weight_decay: float = number(low=0, high=1e6, default=0.0)


@dataclass(frozen=True)
class TrainingSettings:
    """How long to train."""

    epochs: int = number(low=0)
    window: int = number(low=0, default=0)
    """Stop when, after half of the epochs, the validation loss exceeds its mean over this many
    epochs before; 0 never stops."""
    patience: int = number(low=0, default=0)
    """Stop after this many epochs without a better validation loss; 0 never stops."""
    checkpoint_every: int = number(low=1, default=100)
    """Epochs between checkpoints."""


@dataclass(frozen=True)
class Published:
    """What the paper reports for this model on this data set."""

    test_acc: float = number(low=0, high=1)
    std: float = number(low=0, high=1)
    source: str = ""


@dataclass(frozen=True)
class Recipe:
    """Everything that one training needs beside the data.

    Attributes:
        name: ``model/dataset``, or ``model/default`` where the data set has no recipe of its own.
        model: Keyword arguments of the model.
        data: How the features enter.
        optimizer: Adam's numbers.
        training: How long to train.
        published: The figure to compare with, where there is one.
    """

    name: str
    model: Mapping[str, int | float | bool | str]
    data: DataSettings
    optimizer: OptimizerSettings
    training: TrainingSettings
    published: Published | None

    def flat(self) -> dict[str, Any]:
        """Every number under its dotted name, as ``--set`` spells it; not the published ones."""
        parts: dict[str, Mapping[str, Any]] = {"model": self.model}
        for section in ("data", "optimizer", "training"):
            parts[section] = vars(getattr(self, section))
        return {
            f"{section}.{key}": value
            for section, part in parts.items()
            for key, value in part.items()
        }


SECTIONS = {
    "data": DataSettings,
    "optimizer": OptimizerSettings,
    "training": TrainingSettings,
    "published": Published,
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
    try:
        parsed = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"--set {text!r}: {value!r} is not a TOML value such as 3, 0.5, true or "
            f'"text" ({error})'
        ) from error
    if section not in ("model", *SECTIONS):
        raise ConfigError(f"--set {text!r}: {unknown('section', section, ('model', *SECTIONS))}")
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
    known = ("model", *SECTIONS)
    for section, table in tables.items():
        if section not in known:
            raise ConfigError(f"{where}: {unknown('section', section, known)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{where}: {section} must be a table [{section}], got {table!r}")
    for key, value in tables.get("model", {}).items():
        if type(value) not in (int, float, bool, str):
            raise ConfigError(f"{where}: model.{key} must be one value, got {value!r}")
    published = tables.get("published")
    return Recipe(
        name=name,
        model=dict(tables.get("model", {})),
        data=parse_section(DataSettings, "data", tables, where),
        optimizer=parse_section(OptimizerSettings, "optimizer", tables, where),
        training=parse_section(TrainingSettings, "training", tables, where),
        published=None
        if published is None
        else parse_section(Published, "published", tables, where),
    )


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
