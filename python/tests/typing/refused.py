"""What type checkers must refuse: on each line that says so, for that reason, and on no other.
Checked, never run.
"""

import manyhands
from manyhands import (
    Future,
    Graph,
    Retry,
    ThreadPoolExecutor,
    as_completed,
    gather,
    race,
    task_scope,
    wait,
)


def length(word: str, *, twice: bool = False) -> int:
    return len(word) * (2 if twice else 1)


def submitting(executor: ThreadPoolExecutor) -> None:
    executor.submit(length, 1)  # refused: arg-type
    executor.submit(length, "a", twice="b")  # refused: arg-type
    executor.submit(length)  # refused: call-arg
    executor.submit(length, "a", thrice=True)  # refused: call-arg
    executor.submit("length", "a")  # refused: arg-type
    executor.submit(fn=length)  # refused: call-arg
    word: str = executor.submit(length, "a").result()  # refused: assignment
    text: Future[str] = executor.submit(length, "a")  # refused: arg-type
    print(word, text)


def making() -> None:
    ThreadPoolExecutor("4")  # refused: arg-type
    ThreadPoolExecutor(when_full="drop")  # refused: arg-type
    ThreadPoolExecutor(context="inherit")  # refused: arg-type
    ThreadPoolExecutor(4, "io", None, (), 100)  # refused: call-arg
    ThreadPoolExecutor(maximum=4)  # refused: call-arg
    Future[int](1)  # refused: call-arg


def setting(future: Future[int]) -> None:
    future.set_result("a")  # refused: arg-type
    future.set_exception("a")  # refused: arg-type
    future.result("soon")  # refused: arg-type


def calling_back(future: Future[int]) -> None:
    def on_text(done: Future[str]) -> None:
        print(done.result())

    future.add_done_callback(on_text)  # refused: arg-type
    future.add_done_callback(lambda: print("done"))  # refused: arg-type, misc


def waiting(futures: list[Future[int]]) -> None:
    wait(futures[0])  # refused: arg-type
    wait([1, 2])  # refused: type-var
    wait(futures, "soon")  # refused: arg-type
    print(wait(futures).finished)  # refused: attr-defined
    as_completed(1)  # refused: arg-type
    for future in as_completed(futures):
        future.result().upper()  # refused: attr-defined


def mapping(executor: ThreadPoolExecutor) -> None:
    executor.map(length, 5)  # refused: arg-type
    executor.map(length, ["a"], ordered="no")  # refused: arg-type
    words: list[str] = list(executor.map(length, ["a"]))  # refused: arg-type
    print(words)


def composing(number: Future[int], executor: ThreadPoolExecutor) -> None:
    number.then(length)  # refused: arg-type
    number.then(5)  # refused: call-overload
    number.catch(lambda error: 0, 5)  # refused: call-overload
    number.with_timeout("soon")  # refused: arg-type
    gather([number])  # refused: call-overload
    race(1, 2)  # refused: call-overload
    Retry("often")  # refused: arg-type
    Retry(3, 0.1)  # refused: call-arg
    Retry(3).submit(executor, length, 1)  # refused: arg-type
    executor.submit_after("length", number)  # refused: arg-type


def scoping(executor: ThreadPoolExecutor) -> None:
    with task_scope(executor) as scope:
        scope.submit("length", "a")  # refused: arg-type
        scope.map(length, ["a"])  # refused: attr-defined
    task_scope()  # refused: call-arg


async def awaiting(future: Future[int]) -> None:
    word: str = await future  # refused: assignment
    print(word)


def naming(executor: ThreadPoolExecutor) -> None:
    print(manyhands.ThreadPoolExecuter)  # refused: attr-defined
    print(executor.stats().queued)  # refused: attr-defined
    executor.submit_all([])  # refused: attr-defined


def graph(graph: Graph) -> None:
    number = graph.task("number", int, "1")
    graph.get(number).upper()  # refused: attr-defined
    graph.set(number, "one")  # refused: misc
    graph.task(1, int)  # refused: arg-type
    graph.get(1)  # refused: call-overload
    graph.run(executor=5)  # refused: arg-type
