"""Signals become requests; a second one is the old behaviour again."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from neighborgraph.tasks.interrupt import Stopped, stop_on_signal


@pytest.fixture(autouse=True)
def as_in_a_terminal() -> Iterator[None]:
    """Python's own handler of SIGINT, which a shell's background jobs start without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_noted(number: int) -> None:
    with stop_on_signal() as request:
        assert request.signal_number is None
        os.kill(os.getpid(), number)
        assert request.signal_number == number


def test_second_signal_acts_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), stop_on_signal():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stop_on_signal():
        pass
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_another_thread_is_left_alone() -> None:
    seen = []

    def work() -> None:
        with stop_on_signal() as request:
            seen.append(request.signal_number)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]


def test_stopped_names_its_signal() -> None:
    assert str(Stopped(signal.SIGTERM)) == "stopped by SIGTERM"
