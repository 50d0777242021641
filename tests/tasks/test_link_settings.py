"""Link prediction's sections of a recipe."""

from pathlib import Path

import pytest

from neighborgraph.errors import ConfigError
from neighborgraph.tasks.link_settings import PublishedLinks
from neighborgraph.tasks.recipe import load_recipe

TEXT = """
task = "link prediction"
[optimizer]
lr = 0.01
[training]
epochs = 10
"""


def load_text(folder: Path, text: str, *overrides: str):
    (folder / "m").mkdir(exist_ok=True)
    (folder / "m" / "d.toml").write_text(text)
    return load_recipe("m", "d", overrides, folder)


def test_defaults_and_overrides(tmp_path: Path) -> None:
    recipe = load_text(tmp_path, TEXT)
    assert (recipe.links.batch_size, recipe.links.negatives) == (65_536, "any")
    assert recipe.links.validation_edges is False
    assert (recipe.predictor.hidden_channels, recipe.predictor.layers) == (256, 2)
    recipe = load_text(tmp_path, TEXT, "links.negatives=unlinked", "predictor.dropout=0.5")
    flat = recipe.flat()
    assert (flat["links.negatives"], flat["predictor.dropout"]) == ("unlinked", 0.5)
    assert "data.row_normalize" not in flat


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("links.batch_size=0", r"links.batch_size = 0 is outside \[1, inf\]"),
        ("links.negatives=unlinkd", "did you mean 'unlinked'"),
        ("links.validation_edges=1", "links.validation_edges must be bool"),
        ("predictor.layers=0", "predictor.layers = 0 is outside"),
        ("data.row_normalize=true", "unknown section 'data'"),
    ],
)
def test_wrong_values(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_text(tmp_path, TEXT, override)


def test_published_figures() -> None:
    assert PublishedLinks(0.84, 0.01, "mrr").metrics == {"test_mrr": (0.84, 0.01)}
    assert PublishedLinks(0.4, 0.1).metrics == {"test_hits@20": (0.4, 0.1)}
