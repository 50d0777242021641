"""Model and task follow from the data set's type; wrong options are found before training."""

from dataclasses import replace

import pytest
import torch

from neighborgraph.bench.assembly import assemble, check_options
from neighborgraph.data import (
    MultiLabelDataset,
    RankedLog,
    load,
    load_events,
    load_interactions,
    load_links,
)
from neighborgraph.errors import ConfigError
from neighborgraph.models import (
    GCN,
    GRAND,
    LAGCN,
    LAGRAND,
    LightGCN,
    LinkPredictor,
    MowstStarGCN,
    NATClassifier,
)
from neighborgraph.tasks import (
    AugmentedClassification,
    ConsistentClassification,
    LinkPrediction,
    MixtureClassification,
    NodeClassification,
    RankedLinkPrediction,
    Recommendation,
    SubstitutedClassification,
    TemporalLinkPrediction,
    TemporalNodeClassification,
    load_recipe,
)
from neighborgraph.tasks.step import CapturedStep, EagerStep
from neighborgraph.tasks.stream import StreamTask

CPU = torch.device("cpu")
NODES, INTERACTIONS = load("tiny"), load_interactions("tiny-interactions")


def test_nodes_are_classified() -> None:
    model, task = assemble(NODES, "gcn", load_recipe("gcn", "tiny"), 0, CPU)
    assert isinstance(model, GCN)
    assert isinstance(task, NodeClassification)


def test_mixtures_take_turns() -> None:
    recipe = load_recipe("mowst-star-gcn", "tiny", ["turns.patience=7"])
    model, task = assemble(NODES, "mowst-star-gcn", recipe, 3, CPU)
    assert isinstance(model, MowstStarGCN)
    assert isinstance(task, MixtureClassification)
    assert (task.settings.pretrain, task.settings.patience) == ("strong", 7)
    assert torch.equal(task.nodes.parts["test"], NODES.split(3).test)


def test_augmented_models_get_their_settings() -> None:
    changes = ["generator.epochs=3", "consistency.samples=2", "data.row_normalize=false"]
    recipe = load_recipe("la-gcn", "tiny", changes)
    model, task = assemble(NODES, "la-gcn", recipe, 3, CPU)
    assert isinstance(model, LAGCN)
    assert isinstance(task, AugmentedClassification)
    assert (task.generator.epochs, task.consistency.samples, task.seed) == (3, 2, 3)
    assert not task.row_normalize
    labels = torch.zeros(120, 4, dtype=torch.int64)
    several = MultiLabelDataset("many", NODES.graph, NODES.x, labels, 4, NODES.split_rule, "")
    with pytest.raises(ConfigError, match="la-gcn sharpens predictions of one label a node"):
        assemble(several, "la-gcn", recipe, 0, CPU)


@pytest.mark.parametrize(
    ("name", "kind", "task_kind"),
    [
        ("grand", GRAND, ConsistentClassification),
        ("la-grand", LAGRAND, SubstitutedClassification),
    ],
)
def test_predictions_of_grand_must_agree(name: str, kind: type, task_kind: type) -> None:
    recipe = load_recipe(name, "tiny", ["consistency.samples=2", "consistency.weight=3"])
    model, task = assemble(NODES, name, recipe, 3, CPU)
    assert isinstance(model, kind)
    assert type(task) is task_kind
    assert isinstance(task, ConsistentClassification)
    assert (task.consistency.samples, task.consistency.weight) == (2, 3)
    assert torch.equal(task.parts["test"], NODES.split(3).test)


def test_interactions_are_split_by_the_seed_and_ranked() -> None:
    recipe = load_recipe("lightgcn", "default", ["batches.size=7", "split.protocol=published"])
    model, task = assemble(INTERACTIONS, "lightgcn", recipe, 3, CPU)
    assert isinstance(model, LightGCN)
    assert isinstance(task, Recommendation)
    assert (task.batch_size, task.seed, task.data.protocol) == (7, 3, "published")
    assert task.data.digest == INTERACTIONS.split(3, protocol="published").digest
    assert model.num_users == 160


def test_wrong_options() -> None:
    recipe = load_recipe("lightgcn", "default", ["model.num_layer=2"])
    with pytest.raises(ConfigError, match=r"no option 'num_layer'; did you mean 'num_layers'\?"):
        check_options(INTERACTIONS, "lightgcn", recipe)
    recipe = load_recipe("lightgcn", "default", ["model.num_layers=-2"])
    with pytest.raises(ConfigError, match="num_layers=-2 is negative"):
        check_options(INTERACTIONS, "lightgcn", recipe)
    recipe = replace(recipe, model={"hidden_channels": 8, "dropout": 2.0})
    with pytest.raises(ConfigError, match="dropout"):
        check_options(NODES, "gcn", recipe)


def test_models_of_another_task() -> None:
    recipe = load_recipe("gcn", "tiny")
    with pytest.raises(ConfigError, match="gcn cannot be built from num_users"):
        check_options(INTERACTIONS, "gcn", recipe)
    with pytest.raises(TypeError, match="no task for str"):
        assemble("tiny", "gcn", recipe, 0, CPU)  # pyright: ignore[reportArgumentType]


def test_links_are_told_from_other_pairs() -> None:
    links = load_links("tiny-links")
    recipe = load_recipe("gcn", "tiny-links", ["links.batch_size=77"])
    check_options(links, "gcn", recipe)
    model, task = assemble(links, "gcn", recipe, 3, CPU)
    assert isinstance(model, LinkPredictor)
    assert isinstance(model.encoder, GCN)
    assert model.embedding is None
    assert isinstance(task, LinkPrediction)
    assert (task.batch_size, task.seed) == (77, 3)
    model, _ = assemble(replace(links, x=None), "gcn", recipe, 3, CPU)
    assert isinstance(model, LinkPredictor)
    assert model.embedding is not None


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("mlp", "model.dropout=0.5", "mlp has no recipe for links, and this one is for node"),
        ("gcn", "model.layer=3", "gcn has no option 'layer'; did you mean 'layers'"),
        ("gcn", "predictor.dropout=1.0", r"predictor: dropout=1.0 is outside \[0, 1\)"),
        ("gcn", "links.validation_edges=true", "must be false for tiny-links: its rules do not"),
    ],
)
def test_wrong_options_for_links(name: str, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_options(load_links("tiny-links"), name, load_recipe(name, "tiny-links", [override]))


CUDA_CASES = [
    ("lightgcn", "batches.size=300"),
    ("lightgcn", "model.edge_dropout=0.3"),
    ("ultragcn", "batches.size=300"),
]


@pytest.mark.cuda
@pytest.mark.parametrize(("name", "override"), CUDA_CASES)
def test_recorded_steps_train_like_eager_ones(name: str, override: str) -> None:
    recipe = load_recipe(name, "default", [override])
    trained = []
    for kind in (CapturedStep, EagerStep):
        torch.manual_seed(0)
        model, task = assemble(INTERACTIONS, name, recipe, 0, torch.device("cuda"))
        adam = torch.optim.Adam(model.parameters(), lr=0.01, fused=True, capturable=True)
        step = kind(task.loss, model.train(), adam)
        for epoch in range(6):
            for batch in task.batches(model, epoch):
                step(*batch)
        trained.append((step.mean_loss(), model.state_dict()))
    (loss, state), (eager_loss, eager_state) = trained
    assert loss == eager_loss
    assert all(torch.equal(state[key], eager_state[key]) for key in state)


EVENTS = load_events("tiny-events")
GIVEN = torch.zeros(225, 3, dtype=torch.int64)
RANKED = RankedLog(
    "given",
    EVENTS.events,
    EVENTS.node_ids,
    None,
    "",
    val_negatives=GIVEN,
    test_negatives=GIVEN,
    official=lambda *_: 0.5,
)


@pytest.mark.parametrize(
    ("name", "dataset", "kind"),
    [
        ("nat", EVENTS, TemporalLinkPrediction),
        ("nat", RANKED, RankedLinkPrediction),
        ("edgebank", RANKED, RankedLinkPrediction),
        ("nat-classifier", EVENTS, TemporalNodeClassification),
    ],
)
def test_streams(name: str, dataset, kind: type) -> None:
    recipe = load_recipe(name, dataset.name, ["stream.batch_size=50", "stream.judged_size=7"])
    check_options(dataset, name, recipe)
    model, task = assemble(dataset, name, recipe, 3, CPU)
    assert type(task) is kind and isinstance(task, StreamTask)
    assert isinstance(model, NATClassifier) == (name == "nat-classifier")
    sizes = task.seed, task.batch_size, task.judged_size
    assert sizes == (3, 50, 7)
    assert [len(part) for part in (task.split.val, task.split.test)] == [225, 225]


@pytest.mark.parametrize(
    ("name", "dataset", "change", "message"),
    [
        (
            "nat",
            RANKED,
            ["stream.hidden=0.1"],
            "must be 0 for given, for which no nodes are hidden",
        ),
        ("nat-classifier", EVENTS, ["stream.hidden=0.1"], "must be 0 for nat-classifier"),
        ("nat-classifier", RANKED, [], "learns the labels of events, but given has none"),
        (
            "nat-classifier",
            replace(EVENTS, events=replace(EVENTS.events, label=None)),
            [],
            "learns the labels of events, but tiny-events has none",
        ),
    ],
)
def test_what_streams_cannot_do(name: str, dataset, change: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_options(dataset, name, load_recipe(name, dataset.name, change))
