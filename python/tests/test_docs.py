"""What is documented holds: every example runs and says what it says, every public name has one,
and `help` shows them.
"""

import concurrent.futures
import doctest
import importlib
import inspect
import pkgutil
import pydoc
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import manyhands

README = Path(__file__).resolve().parents[1] / "README.md"


def modules() -> Iterator[ModuleType]:
    yield manyhands
    for found in pkgutil.iter_modules(manyhands.__path__, "manyhands."):
        if found.name != "manyhands.__main__":
            yield importlib.import_module(found.name)


def is_ours(thing: object) -> bool:
    has_docs = inspect.isclass(thing) or inspect.isroutine(thing)
    return has_docs and str(getattr(thing, "__module__", "")).split(".")[0] == "manyhands"


def documented() -> dict[str, object]:
    """Each module, and each function and class of the package, native or not, by its name."""
    found: dict[int, tuple[str, object]] = {}
    for module in modules():
        found[id(module)] = (module.__name__, module)
        # Much of the package itself is there when somebody asks.
        for name in {**vars(module), **dict.fromkeys(getattr(module, "__all__", ()))}:
            thing = getattr(module, name)
            if is_ours(thing):
                found.setdefault(id(thing), (f"{module.__name__}.{name}", thing))
    return dict(found.values())


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(recurse=False, exclude_empty=True)
    tests = []
    for name, thing in documented().items():
        tests += finder.find(thing, name, module=False, globs={})
        for member, value in vars(thing).items() if inspect.isclass(thing) else ():
            if inspect.isroutine(value) or isinstance(value, property):
                tests += finder.find(value, f"{name}.{member}", module=False, globs={})
    return [test for test in tests if test.examples]


@pytest.fixture
def as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard library is afterwards what it was, whatever an example has put into it."""
    for module in (
        concurrent.futures,
        concurrent.futures._base,
        importlib.import_module("concurrent.futures.thread"),
    ):
        for name in ("Future", "ThreadPoolExecutor", "wait", "as_completed", "_worker"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, getattr(module, name))


def run(test: doctest.DocTest) -> None:
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    results = runner.run(test, out=said.append)
    assert results.attempted == len(test.examples) > 0
    assert results.failed == 0, "".join(said)


@pytest.mark.usefixtures("as_found")
@pytest.mark.parametrize("test", [pytest.param(test, id=test.name) for test in examples()])
def test_example(test: doctest.DocTest) -> None:
    run(test)


def test_examples_are_found_in_native_and_in_python_docstrings() -> None:
    names = {test.name for test in examples()}
    assert {
        "manyhands",
        "manyhands.as_completed",
        "manyhands.Future",
        "manyhands.Future.__await__",
        "manyhands._core.Future.result",
        "manyhands._core.ThreadPoolExecutor.submit",
    } <= names
    assert any(name.endswith(".wait") for name in names)


def test_all_that_is_announced_is_there() -> None:
    names: dict[str, Any] = {}
    exec("from manyhands import *", names)  # noqa: S102  # only a module may say so itself
    assert set(manyhands.__all__) <= set(names)


# Not the standard library's exceptions and executors, and not words that stand for themselves.
@pytest.mark.parametrize(
    "name", [it for it in manyhands.__all__ if is_ours(getattr(manyhands, it))]
)
def test_a_public_name_has_an_example(name: str) -> None:
    assert ">>> " in (inspect.getdoc(getattr(manyhands, name)) or "")


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(getattr(thing, name), id=f"{thing.__name__}.{name}")
        for thing in (
            manyhands.Executor,
            manyhands.Future,
            manyhands.FutureList,
            manyhands.Retry,
            manyhands.TaskScope,
            manyhands.Graph,
            manyhands.ThreadPoolExecutor,
        )
        for name in dir(thing)
        if not name.startswith("_")
        and callable(getattr(thing, name))
        # The base's own, which says that it is to be overridden, or is the standard library's.
        and not (thing is manyhands.Executor and name in ("submit", "shutdown"))
    ],
)
def test_a_public_method_has_an_example(method: Any) -> None:
    assert ">>> " in (inspect.getdoc(method) or "")


def test_help_shows_the_package() -> None:
    shown = pydoc.render_doc(manyhands, renderer=pydoc.plaintext)
    for name in manyhands.__all__:
        assert re.search(rf"\b{name}\b", shown), name
    for said in ("concurrent.futures on a Rust core", "max_pending", "Wait for the task to end"):
        assert said in shown, said


def blocks(language: str) -> list[str]:
    fenced = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return fenced.findall(README.read_text("utf-8"))


@pytest.mark.usefixtures("as_found")
def test_the_examples_of_the_readme() -> None:
    sessions = "\n".join(blocks("pycon"))
    run(doctest.DocTestParser().get_doctest(sessions, {}, "README.md", str(README), 0))


def test_the_readme_has_no_other_code_than_what_is_run() -> None:
    languages = re.findall(r"^```(\w+)$", README.read_text("utf-8"), re.MULTILINE)
    assert set(languages) == {"pycon", "sh"}
