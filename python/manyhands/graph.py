"""`Graph`: named tasks that depend on each other, computed once, in parallel, on any executor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from . import _core
from ._core import Node
from .thread import ThreadPoolExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

T = TypeVar("T")
Function = TypeVar("Function", bound="Callable[..., Any]")

__all__ = ["Graph", "GraphError", "GraphOptions", "Node"]

# As many names as a reader reads.
_NAMES = 8


class Submits(Protocol):
    """All that a graph needs of an executor."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]: ...


class GraphError(RuntimeError):
    """A task of a graph failed, and what depends on it was not run.

    name: the task that failed; the first in the graph's order, if there were several. What it raised
        is the `__cause__`.
    not_run: the names of what was not run.

    >>> from manyhands import Graph, GraphError
    >>> graph = Graph()
    >>> number = graph.task("number", int, "x")
    >>> half = graph.task("half", divmod, number, 2)
    >>> try:
    ...     graph.get(half)
    ... except GraphError as error:
    ...     print(error.name, error.not_run, type(error.__cause__))
    number ('half',) <class 'ValueError'>
    """

    def __init__(self, name: str, exception: BaseException, not_run: Iterable[str] = ()) -> None:
        super().__init__(name, exception, not_run)
        self.name = name
        self.not_run = tuple(not_run)
        self.__cause__ = exception

    def __str__(self) -> str:
        cause = self.__cause__
        text = f"{self.name!r} failed: {type(cause).__name__}: {cause}"
        if self.not_run:
            text += "; so these were not run: " + ", ".join(map(repr, self.not_run[:_NAMES]))
        if len(self.not_run) > _NAMES:
            text += f" and {len(self.not_run) - _NAMES} more"
        return text


class Graph(_core.Graph):
    """Named tasks that depend on each other.

    `task` adds one; a node that it is given as an argument stands for that node's value. Ask for a
    node by `get`: it and what it needs is computed, each once, as parallel as the executor is, and kept
    for the next who asks. `run` computes all there is.

    executor: what the tasks run on, if `run` and `get` are not told otherwise; by default, nothing but
        the thread that calls them. A `ThreadPoolExecutor` of this package runs many tasks at a cost of
        less than a microsecond each; to any other executor, each task is submitted for itself. Tasks
        can have executors of their own, by `options`.

    A value is dropped when all that depend on it are done, unless it was asked for, by `get` or `keep`,
    or nothing depends on it; should it be needed again, it is computed again. When a task fails, those
    that depend on it are not run and all others are; the next run goes on from there.

    While the graph is run, others may look at it (`state`, `to_dot`) and `cancel` it, and wait their turn
    in `run` and `get`.

    >>> from manyhands import Graph, ThreadPoolExecutor
    >>> with ThreadPoolExecutor() as executor:
    ...     graph = Graph(executor)
    ...     words = graph.input("words", ["one", "three"])
    ...     total = graph.task("total", lambda words: sum(map(len, words)), words)
    ...     mean = graph.task("mean", lambda total, words: total / len(words), total, words)
    ...     print(graph.get(mean))
    ...     graph["words"] = ["five"]
    ...     print(graph["mean"])
    4.0
    4.0
    """

    __slots__ = ("__weakref__", "_executor")

    def __init__(self, executor: Submits | None = None) -> None:
        self._executor = executor

    def run(self, executor: Submits | None = None) -> None:
        """Compute all that is not done, on this executor or the graph's own.

        Raises GraphError when a task fails, CancelledError when the graph or the executor's tasks are
        cancelled, and what `executor.submit` raises when it takes nothing.

        >>> from manyhands import Graph
        >>> graph = Graph()
        >>> two = graph.task("two", int, "2")
        >>> four = graph.task("four", pow, two, two)
        >>> graph.run()
        >>> graph.state(two), graph.value(two)  # nobody needs it any more
        ('done', None)
        >>> graph.value(four)
        4
        """
        self._compute(executor, None)

    @overload
    def get(self, node: Node[T], executor: Submits | None = None) -> T: ...
    @overload
    def get(self, node: str, executor: Submits | None = None) -> Any: ...
    def get(self, node: Node[Any] | str, executor: Submits | None = None) -> Any:
        """The value of a node; it and what it needs is computed now, as far as it is not there.

        Raises as `run` does.

        >>> from manyhands import Graph
        >>> graph = Graph()
        >>> two = graph.task("two", int, "2")
        >>> graph.get(two), graph.get("two")
        (2, 2)
        """
        value = self.value(node)
        if value is None:
            self._compute(executor, [node])
            value = self.value(node)
        else:
            self.keep(node)
        return value

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __setitem__(self, name: str, value: object) -> None:
        self.declare(name)
        self.set(name, value)

    def input(self, name: str, value: T) -> Node[T]:
        """Add a value from outside, which `set` changes; as `graph[name] = value` does too.

        >>> from manyhands import Graph
        >>> graph = Graph()
        >>> n = graph.input("n", 5)
        >>> graph.value(n)
        5
        """
        if name in self:
            raise ValueError(f"there is a task of the name {name!r} already: set() it")
        node = self.declare(name)
        self.set(node, value)
        return node

    def define(
        self, name: Node[T] | str, fn: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> Node[T]:
        """As `task`, also for a task that is there already and does something else from now on.

        It and what depends on it is to be computed again. Raises graphlib.CycleError, which names the
        cycle, if the task would come to depend on itself.

        >>> from manyhands import Graph
        >>> graph = Graph()
        >>> hen = graph.declare("hen")
        >>> egg = graph.task("egg", lambda hens: hens * 10, hen)
        >>> graph.define("hen", lambda eggs: eggs // 10, egg)
        Traceback (most recent call last):
        ...
        graphlib.CycleError: ("'hen' would depend on itself: 'hen' needs 'egg' needs 'hen'", [...])
        >>> hen = graph.define("hen", int, "2")
        >>> graph["egg"]
        20
        """
        return self._put(name, fn, args, kwargs or None, None, False, True)

    def options(self, *, executor: Submits | None = None, keep: bool = False) -> GraphOptions:
        """The same graph, for tasks with options of their own.

        executor: what they run on, whichever the graph runs on.
        keep: whether their values are kept when nothing needs them any more.

        >>> from manyhands import Graph, ProcessPoolExecutor, ThreadPoolExecutor
        >>> with ThreadPoolExecutor() as threads, ProcessPoolExecutor(1) as processes:
        ...     graph = Graph(threads)
        ...     exponent = graph.task("exponent", int, "10")
        ...     power = graph.options(executor=processes).task("power", pow, 2, exponent)
        ...     graph.get(power)
        1024
        """
        return GraphOptions(self, executor, keep)

    def computed(self, fn: Function) -> Function:
        """Add a function, by its own name, whose parameters are the names of what it depends on.

        Parameters that have a default value keep it. What has not been added yet by the name of a
        parameter can be added later.

        >>> from manyhands import Graph
        >>> graph = Graph()
        >>> @graph.computed
        ... def area(width, height):
        ...     return width * height
        >>> graph["width"], graph["height"] = 2, 3
        >>> graph["area"]
        6
        """
        return self.options().computed(fn)

    def exception(self, node: Node[Any] | str) -> BaseException | None:
        """What a task raised when it was run last; for one that was not run, because something failed
        that it needs, a GraphError that says what. None if neither is so.

        >>> from manyhands import Graph, GraphError
        >>> graph = Graph()
        >>> number = graph.task("number", int, "x")
        >>> half = graph.task("half", divmod, number, 2)
        >>> try:
        ...     graph.run()
        ... except GraphError:
        ...     print(repr(graph.exception(number)))
        ...     print(graph.exception(half))
        ValueError("invalid literal for int() with base 10: 'x'")
        'number' failed: ValueError: invalid ...; so these were not run: 'half'
        """
        failure = self._failure(node)
        if failure is None:
            return None
        (*not_run, failed), exception = failure
        return GraphError(failed, exception, reversed(not_run)) if not_run else exception

    def _compute(self, executor: Submits | None, nodes: Sequence[Node[Any] | str] | None) -> None:
        if executor is None:
            executor = self._executor
        failure = self._run(executor, _runs_tickets(executor), nodes)
        if failure is not None:
            raise GraphError(*failure)


class GraphOptions:
    """A Graph for tasks with options of their own, made by its `options()`."""

    def __init__(self, graph: Graph, executor: Submits | None, keep: bool) -> None:
        if executor is not None and not hasattr(executor, "submit"):
            raise TypeError(f"an executor has a method submit(), and {executor!r} has none")
        self._graph = graph
        self._executor = executor
        self._keep = keep

    def task(self, name: str, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Node[T]:
        """As `Graph.task`."""
        return self._put(name, fn, args, kwargs, False)

    def define(
        self, name: Node[T] | str, fn: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> Node[T]:
        """As `Graph.define`."""
        return self._put(name, fn, args, kwargs, True)

    def computed(self, fn: Function) -> Function:
        """As `Graph.computed`."""
        from inspect import signature  # which is slow to import

        args, kwargs = [], {}
        for parameter in signature(fn).parameters.values():
            if parameter.default is not parameter.empty:
                continue
            if parameter.kind is parameter.KEYWORD_ONLY:
                kwargs[parameter.name] = self._graph.declare(parameter.name)
            elif parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                args.append(self._graph.declare(parameter.name))
        self._put(fn.__name__, fn, tuple(args), kwargs, False)
        return fn

    def _put(
        self,
        name: Node[T] | str,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        anew: bool,
    ) -> Node[T]:
        return self._graph._put(name, fn, args, kwargs or None, self._executor, self._keep, anew)


def _runs_tickets(executor: Submits | None) -> bool:
    """Whether it is a pool of ours that nobody wants to see each task submitted to."""
    if not isinstance(executor, ThreadPoolExecutor):
        return False
    own_submit: bool = executor.submit == _core.ThreadPoolExecutor.submit.__get__(executor)
    return own_submit
