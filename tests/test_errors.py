"""An error is caught as what it is here and as what Python calls it."""

import inspect

import pytest

from neighborgraph import errors
from neighborgraph.errors import NeighborgraphError

ALSO = {
    "InputError": ValueError,
    "DtypeError": TypeError,
    "DeviceError": RuntimeError,
    "BackendUnavailable": RuntimeError,
    "DataFileError": RuntimeError,
    "CheckpointError": RuntimeError,
    "ConfigError": ValueError,
    "TrainingError": ArithmeticError,
}


def classes() -> dict[str, type]:
    return dict(inspect.getmembers(errors, inspect.isclass))


def test_the_table_is_complete() -> None:
    assert set(classes()) == {"NeighborgraphError", *ALSO}


@pytest.mark.parametrize("name", ALSO)
def test_each_error_has_two_bases(name: str) -> None:
    for base in (NeighborgraphError, ALSO[name]):
        with pytest.raises(base, match="what was wrong"):
            raise classes()[name]("what was wrong")
