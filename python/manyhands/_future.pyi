# What _future.py cannot say itself: the native class takes no type parameter at run time.

from collections.abc import Generator
from typing import Any, TypeVar

from . import _core, _stdlib

_T = TypeVar("_T")

class Future(_core.Future[_T], _stdlib.Future[_T]):
    def __init__(self) -> None: ...
    def __await__(self) -> Generator[Any, None, _T]: ...
