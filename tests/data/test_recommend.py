"""The named sets: published counts, published sets of pairs, and a small one with structure."""

from pathlib import Path

import numpy as np
import pytest
import torch

from neighborgraph.data import INTERACTIONS, InteractionLog, load_interactions
from neighborgraph.data.recommend import GROUPS, ITEMS_A_GROUP, USERS_A_GROUP
from neighborgraph.errors import ConfigError, DataFileError
from neighborgraph.paths import data_root


def real(name: str) -> InteractionLog:
    """Loads a data set, or skips the test when its files are absent; damage still fails."""
    try:
        return load_interactions(name)
    except DataFileError as error:
        if "not found: looked in" not in str(error):
            raise
        pytest.skip(f"{name} is not in {data_root()}; set NEIGHBORGRAPH_DATA to its folder")


def test_gowalla_has_the_published_counts() -> None:
    log = real("gowalla")
    assert (len(log.user_ids), len(log.item_ids)) == (29_858, 40_981)
    assert log.pairs.shape[1] == 810_128
    assert log.test is not None
    assert log.test.shape[1] == 217_242
    # Ids are numbered without gaps, so positions are ids.
    assert np.array_equal(log.user_ids, np.arange(29_858))
    assert np.array_equal(log.item_ids, np.arange(40_981))
    with (data_root() / "gowalla" / "test.txt").open() as file:
        user, *items = map(int, file.readline().split())
    assert log.test[1, log.test[0] == user].tolist() == sorted(items)
    assert log.split(0, protocol="published").train.shape[1] == 810_128
    split = log.split(0)
    assert split.train.shape[1] + split.val.shape[1] == 810_128
    assert 0.09 < split.val.shape[1] / 810_128 < 0.11


def test_lastfm_has_the_published_counts() -> None:
    log = real("lastfm")
    assert (len(log.user_ids), len(log.item_ids)) == (1_880, 4_489)
    assert log.test is not None
    assert (log.pairs.shape[1], log.test.shape[1]) == (42_135, 10_533)
    only_in_test = set(log.test[1].tolist()) - set(log.pairs[1].tolist())
    assert len(only_in_test) == 13
    table = np.loadtxt(data_root() / "lastfm" / "data1.txt")
    pairs = {(int(user), int(item)) for user, item, _ in table}
    ours = zip(log.user_ids[log.pairs[0]], log.item_ids[log.pairs[1]], strict=True)
    assert {(int(user), int(item)) for user, item in ours} == pairs


def test_lastfm_line_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "lastfm").mkdir()
    (tmp_path / "lastfm" / "data1.txt").write_text("1\t2\t3\n1\t5\t3.2e+05\n4\tx\t1\n")
    (tmp_path / "lastfm" / "test1.txt").write_text("1\t7\t3\n")
    with pytest.raises(DataFileError, match=r"data1\.txt, line 3: expected user, item and count"):
        load_interactions("lastfm", tmp_path)


@pytest.mark.parametrize("name", ["gowalla", "lastfm"])
def test_absent_files_say_where_they_should_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataFileError, match=f"DIR/{name} holds"):
        load_interactions(name, tmp_path)


def test_the_small_set_is_the_same_every_time_and_has_groups() -> None:
    log, again = load_interactions("tiny-interactions"), load_interactions("tiny-interactions")
    assert log.digest == again.digest
    users, items = torch.from_numpy(log.user_ids), torch.from_numpy(log.item_ids)
    assert (len(users), len(items)) == (GROUPS * USERS_A_GROUP, GROUPS * ITEMS_A_GROUP)
    group = users[log.pairs[0]] // USERS_A_GROUP, items[log.pairs[1]] // ITEMS_A_GROUP
    assert 0.85 < (group[0] == group[1]).float().mean() < 0.95


def test_unknown_name() -> None:
    with pytest.raises(ConfigError, match=r"'gowala'; did you mean 'gowalla'\?"):
        load_interactions("gowala")
    assert "cora" not in INTERACTIONS
