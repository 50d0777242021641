"""neighborgraph ls."""

import pytest

from neighborgraph.cli import main
from neighborgraph.data import DATASETS
from neighborgraph.models import MODELS
from neighborgraph.tasks.recipe import recipe_names


def listed(capsys, *typed: str) -> list[str]:
    assert main(["ls", *typed]) == 0
    return [line.split()[0] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("what", "names"),
    [("models", sorted(MODELS)), ("datasets", sorted(DATASETS)), ("recipes", recipe_names())],
)
def test_lists(capsys, what: str, names: list[str]) -> None:
    assert listed(capsys, what) == names


def test_everything(capsys) -> None:
    names = listed(capsys)
    assert {"models:", "datasets:", "recipes:", "dagnn", "digits", "dagnn/cora"} <= set(names)


def test_published_figure(capsys) -> None:
    main(["ls", "recipes"])
    assert "dagnn/cora          published 84.4%" in capsys.readouterr().out


def test_where_data_sets_are_from(capsys) -> None:
    main(["ls", "datasets"])
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["tgbl-wiki"] == "read from --data-root, or fetched with --download"
    assert lines["uci-messages"] == "read from --data-root"
    assert lines["tiny-events"] == "built in"
