"""The thread that manages a pool of processes, and what becomes of it when the interpreter exits."""

from __future__ import annotations

import os
import threading
import weakref

from . import _core, _exit


class ManagerThread(threading.Thread):
    """Hears of answers and of the ends of workers; the native part does the work."""

    def __init__(self, manager: _core._ProcessPoolManager) -> None:
        super().__init__(name="manyhands-pool")
        self._ended = threading.Event()
        self._manager = manager

    def start(self) -> None:
        super().start()
        _managers[self] = self._manager

    def run(self) -> None:
        try:
            self._manager.run()
        finally:
            self._ended.set()

    def join(self, timeout: float | None = None) -> None:
        # Before 3.13, a join that Ctrl-C cuts short takes the thread for ended, and the interpreter ends
        # beside it.
        if self.ident is None or self is threading.current_thread() or self._ended.wait(timeout):
            super().join(timeout)


_managers: weakref.WeakKeyDictionary[ManagerThread, _core._ProcessPoolManager] = (
    weakref.WeakKeyDictionary()
)


def _python_exit() -> None:
    _core._interpreter_shutdown()
    interrupted = _exit.was_interrupted()
    managers = list(_managers.items())
    for _, manager in managers:
        if interrupted:
            manager.kill()
        manager.close()
    try:
        for thread, _ in managers:
            thread.join()
    except KeyboardInterrupt:
        for thread, manager in managers:
            manager.kill()
            thread.join()
        raise


# After the hook of the threads has been registered, so before it is called.
threading._register_atexit(_python_exit)  # type: ignore[attr-defined]
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_managers.clear)
