"""An error is caught as what it is here and as what Python calls it."""

import inspect
from typing import Any

import pytest

from neighborgraph import errors
from neighborgraph.errors import NeighborgraphError

ALSO: dict[str, Any] = {
    "InputError": ValueError,
    "IdError": IndexError,
    "EdgeRowsError": (RuntimeError, IndexError),
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
def test_each_error_has_its_bases(name: str) -> None:
    also = ALSO[name] if isinstance(ALSO[name], tuple) else (ALSO[name],)
    for base in (NeighborgraphError, *also):
        with pytest.raises(base, match="what was wrong"):
            raise classes()[name]("what was wrong")
