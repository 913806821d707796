"""What is imported when: a worker process that imports little starts soon."""

import sys

import pytest
from programs import succeed

import manyhands


def loaded_after(statement: str) -> set[str]:
    return set(succeed("-c", f"import sys\n{statement}\nprint(*sys.modules)").stdout.split())


def test_a_worker_process_needs_little_of_the_package() -> None:
    loaded = loaded_after("import manyhands._process_worker, manyhands._chunks")
    assert "manyhands._core" in loaded
    assert not loaded & {"concurrent.futures", "logging", "manyhands._future", "manyhands.thread"}


def test_the_package_itself_imports_nothing() -> None:
    assert {it for it in loaded_after("import manyhands") if it.startswith("manyhands")} == {
        "manyhands"
    }


@pytest.mark.parametrize("name", [*manyhands.__all__, "graph", "process", "thread"])
def test_each_name_can_be_the_first(name: str) -> None:
    assert "manyhands" in loaded_after(f"import manyhands; manyhands.{name}")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/smaps is Linux's")
def test_it_asks_for_no_huge_pages() -> None:
    """The first thing that a thread allocates would cost two megabytes, and the time to clear them."""
    said = succeed(
        "-c",
        "import manyhands\n"
        "with manyhands.ThreadPoolExecutor(4) as executor:\n"
        "    list(executor.map(str, range(1000)))\n"
        "print(open('/proc/self/smaps').read())",
    ).stdout
    flags = [line.split()[1:] for line in said.splitlines() if line.startswith("VmFlags:")]
    assert flags
    assert not [of for of in flags if "hg" in of]


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(AttributeError, match="module 'manyhands' has no attribute 'nothing'"):
        manyhands.nothing  # type: ignore[attr-defined]  # noqa: B018
