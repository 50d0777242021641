"""From a data set and a recipe to the model and the task of one seed, by the data set's type."""

from functools import singledispatch
from typing import Any

import torch
from torch import nn

from neighborgraph import models
from neighborgraph.data import (
    BinaryDataset,
    EventLog,
    InteractionLog,
    LinkDataset,
    MultiLabelDataset,
    NodeDataset,
    RankedLog,
)
from neighborgraph.data.recommend import load_tiny_interactions
from neighborgraph.errors import ConfigError, InputError
from neighborgraph.tasks import (
    AugmentedClassification,
    BinaryMixtureClassification,
    ConsistentClassification,
    LinkPrediction,
    MixtureClassification,
    NodeClassification,
    RankedLinkPrediction,
    Recipe,
    Recommendation,
    SampledClassification,
    SubstitutedClassification,
    Task,
    TemporalLinkPrediction,
    TemporalNodeClassification,
)
from neighborgraph.tasks.processes import ALONE, Processes

Dataset = NodeDataset | LinkDataset | InteractionLog | EventLog


@singledispatch
def assemble(
    dataset: Dataset,
    name: str,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    processes: Processes = ALONE,
) -> tuple[nn.Module, Task]:
    """A freshly initialised model on ``device`` and what it is trained for.

    Args:
        dataset: The data.
        name: The model's name.
        recipe: The numbers.
        seed: Of the split and the batches; the model's parameters come from Torch's generator.
        device: Where to train.
        processes: Those that share the batches, of a data set that has any.

    Raises:
        ConfigError: The recipe's model options are not the model's.
        InputError: The data cannot be split as the recipe has it.
    """
    raise TypeError(f"no task for {type(dataset).__name__}")


@assemble.register
def _(dataset: NodeDataset, name, recipe, seed, device, processes=ALONE):
    model = build_of_nodes(dataset, name, recipe).to(device)
    settings = {"seed": seed, "row_normalize": recipe.data.row_normalize, "device": device}
    if isinstance(model, models.TokenModel):
        return model, SampledClassification(
            dataset,
            position_channels=model.position_channels,
            processes=processes,
            **vars(recipe.sampling),
            **settings,
        )
    if isinstance(model, models.Augmented | models.GRAND):
        expect_one_label(dataset, f"{name} sharpens predictions")
        settings["consistency"] = recipe.consistency
        if isinstance(model, models.Augmented):
            return model, AugmentedClassification(dataset, generator=recipe.generator, **settings)
        if isinstance(model, models.LAGRAND):
            return model, SubstitutedClassification(dataset, generator=recipe.generator, **settings)
        return model, ConsistentClassification(dataset, **settings)
    if isinstance(model, models.MowstModel):
        expect_one_label(dataset, f"{name} mixes experts")
        two = isinstance(dataset, BinaryDataset)
        kind = BinaryMixtureClassification if two else MixtureClassification
        return model, kind(dataset, turns=recipe.turns, **settings)
    return model, NodeClassification(dataset, **settings)


def expect_one_label(dataset: NodeDataset, what: str) -> None:
    """Refuse several labels a node for a model that does ``what`` with one."""
    if isinstance(dataset, MultiLabelDataset):
        raise ConfigError(f"{what} of one label a node, but {dataset.name} has several")


def build_of_nodes(dataset: NodeDataset, name: str, recipe: Recipe) -> nn.Module:
    """A freshly initialised model of a data set's nodes, whole graphs or samples."""
    sizes = dataset.x.shape[1], dataset.num_classes
    if issubclass(models.find(name), models.TokenModel):
        return models.build_token_model(name, *sizes, dataset.graph.num_rows, **recipe.model)
    return models.build(name, *sizes, **recipe.model)


@assemble.register
def _(dataset: LinkDataset, name, recipe, seed, device, processes=ALONE):
    model = link_predictor(dataset, name, recipe).to(device)
    return model, LinkPrediction(dataset, seed=seed, device=device, **vars(recipe.links))


def link_predictor(dataset: LinkDataset, name: str, recipe: Recipe) -> nn.Module:
    """The predictor whose encoder is the model called ``name``."""
    width = None if dataset.x is None else dataset.x.shape[1]
    sizes = width, dataset.graph.num_rows, vars(recipe.predictor)
    return models.build_link_predictor(name, *sizes, **recipe.model)


@assemble.register
def _(dataset: InteractionLog, name, recipe, seed, device, processes=ALONE):
    data = dataset.split(seed, **vars(recipe.split))
    model = models.build_recommender(
        name, data.num_users, data.num_items, data.train.to(device), **recipe.model
    ).to(device)
    batches = {"batch_size": recipe.batches.size, "draw": recipe.batches.draw}
    where = {"device": device, "processes": processes}
    return model, Recommendation(data, seed=seed, **where, **batches)


@assemble.register
def _(dataset: EventLog, name, recipe, seed, device, processes=ALONE):
    model = stream_model(dataset, name, recipe).to(device)
    if isinstance(model, models.NATClassifier):
        settings = batch_settings(recipe, seed, device)
        return model, TemporalNodeClassification(dataset.events, model, **settings)
    settings = {"seed": seed, "device": device, **vars(recipe.stream)}
    return model, TemporalLinkPrediction(dataset.events, model, **settings)


@assemble.register
def _(dataset: RankedLog, name, recipe, seed, device, processes=ALONE):
    model = stream_model(dataset, name, recipe).to(device)
    given = dataset.val_negatives, dataset.test_negatives, dataset.official
    settings = batch_settings(recipe, seed, device)
    return model, RankedLinkPrediction(dataset.events, dataset.split, model, *given, **settings)


def batch_settings(recipe: Recipe, seed: int, device: torch.device) -> dict[str, Any]:
    """What all tasks of streams are told."""
    sizes = {name: getattr(recipe.stream, name) for name in ("batch_size", "judged_size")}
    return {"seed": seed, "device": device, **sizes}


def stream_model(dataset: EventLog, name: str, recipe: Recipe) -> models.TemporalModel:
    """A freshly initialised model of a stream."""
    feature = dataset.events.feature
    width = 0 if feature is None else feature.shape[1]
    return models.build_temporal_model(name, width, **recipe.model)


@singledispatch
def check_options(dataset: Dataset, name: str, recipe: Recipe) -> None:
    """Refuse model options that are not the model's, before anything is trained.

    Raises:
        ConfigError: An option is unknown, missing, of another type or out of range.
    """
    raise TypeError(f"no task for {type(dataset).__name__}")


@check_options.register
def _(dataset: NodeDataset, name, recipe):
    build_of_nodes(dataset, name, recipe)


@check_options.register
def _(dataset: LinkDataset, name, recipe):
    if recipe.task != "link prediction":
        raise ConfigError(
            f"{name} has no recipe for links, and this one is for {recipe.task}; see neighborgraph "
            "ls recipes"
        )
    if recipe.links.validation_edges and not dataset.validation_input:
        raise ConfigError(
            f"links.validation_edges must be false for {dataset.name}: its rules do not allow "
            "validation edges as input"
        )
    try:
        link_predictor(dataset, name, recipe)
    except InputError as error:
        raise ConfigError(f"predictor: {error}") from error


@check_options.register
def _(dataset: InteractionLog, name, recipe):
    # What a recommender prepares from its pairs may take long, so few pairs do for a check.
    few = load_tiny_interactions().split(0)
    models.build_recommender(name, few.num_users, few.num_items, few.train, **recipe.model)


@check_options.register
def _(dataset: EventLog, name, recipe):
    if isinstance(stream_model(dataset, name, recipe), models.NATClassifier):
        expect_none_hidden(recipe, name)
        if dataset.events.label is None:
            raise ConfigError(f"{name} learns the labels of events, but {dataset.name} has none")


@check_options.register
def _(dataset: RankedLog, name, recipe):
    if isinstance(stream_model(dataset, name, recipe), models.NATClassifier):
        raise ConfigError(f"{name} learns the labels of events, but {dataset.name} has none")
    expect_none_hidden(recipe, dataset.name)


def expect_none_hidden(recipe: Recipe, what: str) -> None:
    """Refuse hidden nodes where no task has any."""
    if recipe.stream.hidden:
        raise ConfigError(
            f"stream.hidden = {recipe.stream.hidden} must be 0 for {what}, for which no nodes are "
            "hidden"
        )
