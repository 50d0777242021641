"""Recipes: every file loads; every wrong key and value is named."""

from pathlib import Path

import pytest

from neighborgraph.data import DATASETS, INTERACTIONS, LINKS, NODES, STREAMS, load_interactions
from neighborgraph.errors import ConfigError
from neighborgraph.models import (
    MODELS,
    Recommender,
    build,
    build_link_predictor,
    build_recommender,
    build_temporal_model,
    build_token_model,
)
from neighborgraph.tasks.recipe import RECIPES, load_recipe, recipe_names

GOOD = """
[model]
hidden_channels = 8
[optimizer]
lr = 0.01
[training]
epochs = 10
"""


def load_text(folder: Path, text: str, overrides: tuple[str, ...] = ()):
    (folder / "m").mkdir(exist_ok=True)
    (folder / "m" / "d.toml").write_text(text)
    return load_recipe("m", "d", overrides, folder)


def test_number_of_recipes() -> None:
    assert len(recipe_names()) == 141


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_builds_its_model_for_a_known_data_set(name: str) -> None:
    model, dataset = name.split("/")
    recipe = load_recipe(model, dataset)
    assert recipe.name == name
    assert model in MODELS
    assert dataset == "default" or dataset in DATASETS
    recommends = recipe.task == "recommendation"
    assert issubclass(MODELS[model], Recommender) == recommends
    links = recipe.task == "link prediction"
    streams = recipe.task.startswith("temporal")
    kind = INTERACTIONS if recommends else LINKS if links else STREAMS if streams else NODES
    assert dataset == "default" or dataset in kind
    if recommends:
        few = load_interactions("tiny-interactions").split(0, **vars(recipe.split))
        build_recommender(model, few.num_users, few.num_items, few.train, **recipe.model)
    elif links:
        build_link_predictor(model, None, 30, vars(recipe.predictor), **recipe.model)
    elif streams:
        build_temporal_model(model, 3, **recipe.model)
    elif recipe.task == "sampled classification":
        build_token_model(model, 10, 3, 50, **recipe.model)
    else:
        build(model, 10, 3, **recipe.model)
    if recipe.published is not None:
        assert recipe.published.source


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_a_default(model: str) -> None:
    assert (RECIPES / model / "default.toml").is_file()
    assert load_recipe(model, "cornell").name == f"{model}/default"


def test_defaults_and_types(tmp_path: Path) -> None:
    recipe = load_text(tmp_path, GOOD.replace("0.01", "1"))
    assert recipe.optimizer.lr == 1.0
    assert isinstance(recipe.optimizer.lr, float)
    assert recipe.training.checkpoint_every == 100
    assert recipe.data.row_normalize is False
    assert recipe.published is None


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("epoch = 3", r"unknown key 'training.epoch'; did you mean 'training.epochs'\?"),
        ("Window = 3", r"unknown key 'training.Window'; did you mean 'training.window'\?"),
        ("window = 1.0", "training.window must be int, got 1.0"),
        ('window = "10"', "training.window must be int, got '10'"),
        ("window = true", "training.window must be int, got True"),
        ("window = -1", r"training.window = -1 is outside \[0, inf\]"),
        ("checkpoint_every = 0", "training.checkpoint_every = 0 is outside"),
        ("epochs = 11", "not a TOML file"),  # a duplicate key
        ("[data]\nrow_normalize = 1", "data.row_normalize must be bool, got 1"),
        ("[data]\nrow_normalize = yes", "not a TOML file"),
        ("[optimiser]\nlr = 1", r"unknown section 'optimiser'; did you mean 'optimizer'\?"),
        ("[published]\ntest_acc = 84.4\nstd = 0.1", "published.test_acc = 84.4 is outside"),
        ("[published]\ntest_acc = 0.5", "published.std is missing"),
    ],
)
def test_wrong_keys_name_key_and_file(tmp_path: Path, extra: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_text(tmp_path, GOOD + extra)
    assert str(tmp_path / "m" / "d.toml") in str(caught.value)


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "-0.1"])
def test_learning_rate_out_of_range(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"optimizer.lr = .* is outside \[0, 1000000.0\]"):
        load_text(tmp_path, GOOD.replace("0.01", value))


RANKING = """
task = "recommendation"
[optimizer]
lr = 0.01
[training]
epochs = 10
"""


def test_sections_belong_to_the_task(tmp_path: Path) -> None:
    recipe = load_text(tmp_path, RANKING, ("split.method=leave-one-out", "batches.size=64"))
    assert (recipe.split.method, recipe.split.protocol) == ("leave-one-out", "validation")
    assert (recipe.batches.size, recipe.batches.draw) == (64, "users")
    flat = recipe.flat()
    assert flat["split.method"] == "leave-one-out"
    assert "data.row_normalize" not in flat
    assert not any(key.startswith(("split", "batches")) for key in load_text(tmp_path, GOOD).flat())


def test_turns_belong_to_mixtures(tmp_path: Path) -> None:
    text = 'task = "expert mixture"\n' + GOOD
    recipe = load_text(tmp_path, text, ("turns.pretrain=both", "turns.patience=7"))
    assert (recipe.turns.pretrain, recipe.turns.patience) == ("both", 7)
    assert (recipe.turns.idle_rounds, recipe.turns.select) == (10, "loss")
    assert recipe.flat()["turns.pretrain"] == "both"
    with pytest.raises(ConfigError, match="must be one of none, weak, strong, both"):
        load_text(tmp_path, text, ("turns.pretrain=gnn",))
    with pytest.raises(ConfigError, match="unknown section 'turns'"):
        load_text(tmp_path, GOOD, ("turns.patience=7",))


def test_consistency_training_has_no_generator(tmp_path: Path) -> None:
    text = 'task = "consistency training"\n' + GOOD
    recipe = load_text(tmp_path, text, ("consistency.samples=2",))
    assert (recipe.consistency.samples, recipe.consistency.temperature) == (2, 0.5)
    assert recipe.flat()["consistency.weight"] == 1
    with pytest.raises(ConfigError, match="unknown section 'generator'"):
        load_text(tmp_path, text, ("generator.epochs=7",))


def test_local_augmentation_has_its_sections(tmp_path: Path) -> None:
    text = 'task = "local augmentation"\n' + GOOD
    recipe = load_text(tmp_path, text, ("generator.warm_up=7", "consistency.weight=0"))
    assert (recipe.generator.warm_up, recipe.consistency.weight) == (7, 0.0)
    assert recipe.flat()["consistency.samples"] == 4
    with pytest.raises(ConfigError, match=r"consistency\.temperature = 0\.0 is outside"):
        load_text(tmp_path, text, ("consistency.temperature=0",))


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (RANKING, ("data.row_normalize=true",), "unknown section 'data'"),
        (GOOD, ("split.test=0.5",), "unknown section 'split'"),
        (GOOD + "[batches]\nsize = 3", (), "unknown section 'batches'"),
        (RANKING, ("split.method=leave-one",), "must be one of ratio, leave-one-out, time"),
        (RANKING, ("split.protocol=publishd",), "did you mean 'published'"),
        (RANKING, ("batches.draw=3",), "batches.draw must be str, got 3"),
        (RANKING, ("batches.size=0",), "batches.size = 0 is outside"),
        (RANKING + "[published]\nrecall_20 = 0.1", (), "published.ndcg_20 is missing"),
        (
            'task = "ranking"',
            (),
            r"unknown task 'ranking' \(known: node classification, expert mixture, consis",
        ),
        ("task = 3", (), "unknown task '3'"),
        ("task = [1]", (), "unknown task"),
    ],
)
def test_keys_of_recommendation(tmp_path: Path, text: str, overrides: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_text(tmp_path, text, overrides)


def test_a_word_needs_no_quotes_on_the_command_line(tmp_path: Path) -> None:
    for text in ("split.method=time", 'split.method="time"'):
        assert load_text(tmp_path, RANKING, (text,)).split.method == "time"
    with pytest.raises(ConfigError, match=r"optimizer\.lr = nan is outside"):
        load_text(tmp_path, RANKING, ("optimizer.lr=nan",))


def test_published_figures_by_the_names_of_records() -> None:
    recipe = load_recipe("lightgcn", "gowalla")
    assert recipe.published is not None
    assert recipe.published.metrics == {
        "test_recall@20": (0.1823, None),
        "test_ndcg@20": (0.1555, None),
    }
    assert recipe.split.protocol == "published"


def test_missing_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.lr is missing"):
        load_text(tmp_path, GOOD.replace("lr = 0.01", ""))


def test_overrides_win(tmp_path: Path) -> None:
    overrides = ("optimizer.lr=0.5", "model.hidden_channels = 32", "data.row_normalize=true")
    recipe = load_text(tmp_path, GOOD, overrides)
    assert recipe.optimizer.lr == 0.5
    assert recipe.model["hidden_channels"] == 32
    assert recipe.data.row_normalize is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr=0.1", "must look like optimizer.lr=0.01"),
        ("optimizer.lr", "must look like"),
        ("optimizer.=1", "must look like"),
        ("optimizer.lr=", "must look like"),
        ("optimizer.lr=0.1=0.2", "is not a TOML value"),
        ("optimizer.lr=$(rm x)", "is not a TOML value"),
        ("optimizr.lr=1", r"unknown section 'optimizr'; did you mean 'optimizer'\?"),
        ("optimizer.lrr=1", "with --set optimizer.lrr=1: unknown key 'optimizer.lrr'"),
        ("training.epochs=1.5", "training.epochs must be int"),
        ("model.hops=[1]", "model.hops must be one value"),
    ],
)
def test_wrong_overrides(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_text(tmp_path, GOOD, (text,))


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"x" * (2**20 + 1), b"a = " + b"[" * 5000, b"model = 3"]
)
def test_hostile_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "d.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"d\.toml"):
        load_recipe("m", "d", folder=tmp_path)


def test_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    content = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    (tmp_path / "m" / "d.toml").write_bytes(content)
    assert load_recipe("m", "d", folder=tmp_path).training.epochs == 10


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the recipe .*default\.toml"):
        load_recipe("m", "d", folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "parameters"), [("gcn/ogbl-citation2", 296_449), ("sage/ogbl-citation2", 460_289)]
)
def test_links_have_the_parameters_of_ogbs_examples(name: str, parameters: int) -> None:
    model, dataset = name.split("/")
    recipe = load_recipe(model, dataset)
    built = build_link_predictor(model, 128, 9, vars(recipe.predictor), **recipe.model)
    assert sum(parameter.numel() for parameter in built.parameters()) == parameters
