# What _future.py cannot say itself: the native class takes no type parameter at run time.

from collections.abc import Callable, Generator
from concurrent.futures import Future as _AnyFuture
from typing import Any, TypeVar, overload

from . import _core, _stdlib

_T = TypeVar("_T")
_U = TypeVar("_U")
_E = TypeVar("_E", bound=BaseException)

class Future(_core.Future[_T], _stdlib.Future[_T]):
    def __init__(self) -> None: ...
    def __await__(self) -> Generator[Any, None, _T]: ...
    @overload
    def then(self, fn: Callable[[_T], _AnyFuture[_U]]) -> Future[_U]: ...
    @overload
    def then(self, fn: Callable[[_T], _U]) -> Future[_U]: ...
    @overload
    def catch(
        self,
        fn: Callable[[_E], _AnyFuture[_U]],
        exceptions: type[_E] | tuple[type[_E], ...],
    ) -> Future[_T | _U]: ...
    @overload
    def catch(
        self, fn: Callable[[_E], _U], exceptions: type[_E] | tuple[type[_E], ...]
    ) -> Future[_T | _U]: ...
    @overload
    def catch(
        self, fn: Callable[[Exception], _AnyFuture[_U]], exceptions: type[Exception] = ...
    ) -> Future[_T | _U]: ...
    @overload
    def catch(
        self, fn: Callable[[Exception], _U], exceptions: type[Exception] = ...
    ) -> Future[_T | _U]: ...
    def with_timeout(self, seconds: float) -> Future[_T]: ...
