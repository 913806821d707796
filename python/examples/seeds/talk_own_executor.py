"""An executor of one's own, for computers elsewhere: after the abstract of the talk
"concurrent.futures is here" (Andrew Dalke, EuroPython 2012), which prints no program. PiCloud, on
which the talk built its executor, is gone: here each job has a Python process to itself.

    python talk_own_executor.py [NUMBER...]
"""

import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import manyhands

JOB = """
import pickle, sys
function, args, kwargs = pickle.load(sys.stdin.buffer)
try:
    answer = (function(*args, **kwargs), None)
except Exception as error:
    answer = (None, error)
pickle.dump(answer, sys.stdout.buffer)
"""


class CloudExecutor(manyhands.Executor):
    """All that an executor must be; `map` and `with` come by themselves."""

    def __init__(self) -> None:
        self._callers: list[threading.Thread] = []
        self._is_shut_down = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> manyhands.Future[Any]:
        if self._is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: manyhands.Future[Any] = manyhands.Future()
        caller = threading.Thread(target=self._call, args=(future, (fn, args, kwargs)))
        self._callers.append(caller)
        caller.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing waits for a free computer in a cloud, so there is nothing to cancel."""
        self._is_shut_down = True
        if wait:
            for caller in self._callers:
                caller.join()

    def _call(self, future: manyhands.Future[Any], job: tuple[Any, ...]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            command = [sys.executable, "-c", JOB]
            ended = subprocess.run(
                command, input=pickle.dumps(job), stdout=subprocess.PIPE, check=True
            )
            result, exception = pickle.loads(ended.stdout)
        except Exception as error:
            result, exception = None, error
        if exception is None:
            future.set_result(result)
        else:
            future.set_exception(exception)


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[1:]] or [64, 81, 100]
    with CloudExecutor() as executor:
        for number, bits in zip(numbers, executor.map(int.bit_length, numbers)):
            print(f"{number} has {bits} bits")

        failing = executor.submit(divmod, 1, 0)
        done, _ = manyhands.wait([failing, executor.submit(pow, 2, 10)])
        for future in done:
            print(future.exception() or future.result())
