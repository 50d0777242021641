"""The table of data sets."""

import pytest

from neighborgraph import data
from neighborgraph.errors import ConfigError


def test_unknown_name() -> None:
    with pytest.raises(ConfigError, match=r"unknown data set 'coar'; did you mean 'cora'\?"):
        data.load("coar")


@pytest.mark.parametrize("name", ["../cora", "", "/etc/passwd"])
def test_a_path_is_no_name(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown data set"):
        data.load(name)


@pytest.mark.parametrize("name", data.BUILTIN)
def test_builtin_data_sets_need_no_folder(name: str, tmp_path) -> None:
    load = data.load_interactions if name in data.INTERACTIONS else data.load
    load = data.load_links if name in data.LINKS else load
    load = data.load_events if name in data.STREAMS else load
    assert load(name, tmp_path / "absent").name == name


def test_a_name_is_of_one_kind() -> None:
    assert not data.NODES.keys() & data.INTERACTIONS.keys()
    with pytest.raises(ConfigError, match="unknown data set 'gowalla'"):
        data.load("gowalla")
