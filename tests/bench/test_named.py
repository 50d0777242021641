"""Names that were typed, and what they stand for."""

import pytest

from neighborgraph.bench.named import by_name
from neighborgraph.errors import ConfigError

KNOWN = {"one": 1, "two": 2, "three": 3}


def test_typed_names_come_in_their_order() -> None:
    assert by_name("number", KNOWN, ["three", "one"], ["two"]) == [3, 1]


def test_no_name_is_the_default() -> None:
    assert by_name("number", KNOWN, [], ["two", "one"]) == [2, 1]


def test_an_unknown_name_is_refused_beside_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown number 'tree'.*'three'.*\(one, two, three\)"):
        by_name("number", KNOWN, ["one", "tree"], ["two"])
