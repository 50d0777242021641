"""Task is abstract: a task without loss and evaluation cannot be made."""

import pytest

from neighborgraph.tasks import Task


def test_task_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Task()  # pyright: ignore[reportAbstractUsage]


def test_by_default_there_is_nothing_to_remember() -> None:
    memory = Task.memory
    memory.reset()
    memory.load({})
    assert memory.tensors() == {}
