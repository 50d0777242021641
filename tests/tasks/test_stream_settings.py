"""Settings of streams: defaults are the task's, and published figures are named as in records."""

import inspect

from neighborgraph.tasks import TemporalLinkPrediction
from neighborgraph.tasks.stream_settings import PublishedStream, StreamSettings


def test_defaults_are_those_of_the_task() -> None:
    parameters = inspect.signature(TemporalLinkPrediction).parameters
    for name, value in vars(StreamSettings()).items():
        assert parameters[name].default == value, name


def test_published_by_the_names_of_records() -> None:
    assert PublishedStream(0.9, 0.01, "x").metrics == {"test_ap": (0.9, 0.01)}
