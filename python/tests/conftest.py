"""The watchdog: a test that hangs shows where each of its threads is, and ends the run; and what
many tests hold their tasks back with.
"""

import faulthandler
import os
import signal
import threading
from collections.abc import Iterator

import pytest

# A shell that starts the tests in the background has them ignore Ctrl-C, and all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Only a test that hangs takes so long.
WATCHDOG_SECONDS = 240

_stderr = 2


def pytest_configure(config: pytest.Config) -> None:
    """Keeps the real standard error, for what is captured is lost when the watchdog bites."""
    global _stderr
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        _stderr = os.dup(2)


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    faulthandler.dump_traceback_later(WATCHDOG_SECONDS, exit=True, file=_stderr)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """Set at the end, so that no executor waits for a task that waits for it."""
    event = threading.Event()
    yield event
    event.set()
