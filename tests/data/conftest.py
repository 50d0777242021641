"""Real data sets, where the folder named by NEIGHBORGRAPH_DATA holds them."""

from collections.abc import Callable

import pytest

from neighborgraph.data import NodeDataset, load
from neighborgraph.errors import DataFileError
from neighborgraph.paths import data_root


@pytest.fixture
def real() -> Callable[[str], NodeDataset]:
    """Loads a data set, or skips the test when its files are absent; damage still fails."""

    def load_or_skip(name: str) -> NodeDataset:
        try:
            return load(name)
        except DataFileError as error:
            if "not found: looked in" not in str(error):
                raise
            pytest.skip(f"{name} is not in {data_root()}; set NEIGHBORGRAPH_DATA to its folder")

    return load_or_skip
