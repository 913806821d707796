"""The examples that run on processes say what they say with every start method: as they are, and,
unchanged but for the import, under `python -m manyhands`.
"""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from programs import EXAMPLES, Ended, succeed
from subject import STDLIB

SEEDS, SHARING = EXAMPLES / "seeds", EXAMPLES / "sharing"

GUARD = 'if __name__ == "__main__":\n'
HTML = "<!doctype html><title>One page for all</title>"

Program = Callable[..., Ended]


@pytest.fixture(params=["import changed", "python -m manyhands"])
def program(request: pytest.FixtureRequest, tmp_path: Path, start: str) -> Program:
    """Runs a copy of a program that chooses the start method before all else."""
    as_module = request.param != "import changed"
    if as_module and STDLIB:
        pytest.skip("not the standard library's")

    def run_program(path: Path, *arguments: str | Path) -> Ended:
        text = path.read_text("utf-8")
        assert "\nimport manyhands\n" in text and text.count(GUARD) == 1
        choose = f"    __import__('multiprocessing').set_start_method({start!r})\n"
        text = text.replace(GUARD, GUARD + choose)
        if as_module or STDLIB:
            text = text.replace("manyhands", "concurrent.futures")
        copy = tmp_path / path.name
        copy.write_text(text, "utf-8")
        return succeed(*(["-m", "manyhands"] if as_module else []), copy, *arguments)

    return run_program


class Page(http.server.BaseHTTPRequestHandler):
    """Serves one page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(HTML)))
        self.end_headers()
        self.wfile.write(HTML.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as pages:
        threading.Thread(target=pages.serve_forever).start()
        yield f"http://127.0.0.1:{pages.server_port}/"
        pages.shutdown()


def test_primes(program: Program) -> None:
    lines = program(SEEDS / "docs_primes.py").lines
    assert [line.endswith("True") for line in lines] == [True] * 5 + [False]


def test_downloads(program: Program, server: str) -> None:
    milliseconds, *pages = program(SEEDS / "book_download_processes.py", server).lines
    assert float(milliseconds) > 0
    assert pages == [HTML[:25]] * 2


def test_logs_on_threads_and_on_processes(program: Program, tmp_path: Path) -> None:
    line = '10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET {} HTTP/1.1" 200 12 "-" "-"\n'
    plain, packed = tmp_path / "plain.log", tmp_path / "packed.log.gz"
    plain.write_text(line.format("/a") * 3 + line.format("/b"))
    packed.write_bytes(gzip.compress(line.format("/b").encode() * 4))
    lines = program(SEEDS / "talk_logs.py", plain, packed).lines
    assert len(lines) == 15
    assert lines[-3:] == ["processes, map: 8 requests", "       5 /b", "       3 /a"]
    assert lines[-6:-3] == [lines[-3].replace("processes", "threads"), *lines[-2:]]


def test_the_change_from_threads_to_processes_is_one_line() -> None:
    text = (SEEDS / "talk_logs.py").read_text("utf-8")
    threads, processes = (
        text.partition(f"def with_{kind}(")[2].partition("\n\n")[0].splitlines()
        for kind in ("threads", "processes")
    )
    differing = [pair for pair in zip(threads, processes, strict=True) if pair[0] != pair[1]]
    assert [one.replace("Thread", "Process") for one, _ in differing[:1]] == [differing[0][1]]
    assert len(differing) == 2  # the other is the title


@pytest.mark.parametrize(
    "name, said",
    [
        ("counter_lock.py", ["800"]),
        ("counter_value.py", ["8000"]),
        ("words_manager.py", [" 100 the", "  50 dog", "  50 fox"]),
    ],
)
def test_sharing(program: Program, start: str, name: str, said: list[str]) -> None:
    assert program(SHARING / name).lines == said
    assert program(SHARING / name, start).lines == said


def test_every_sharing_program_is_tested() -> None:
    assert {path.name for path in SHARING.glob("*.py")} == {
        "counter_lock.py", "counter_value.py", "words_manager.py"
    }  # fmt: skip


@pytest.mark.ours
def test_the_access_log_report(start: str, tmp_path: Path) -> None:
    """What it reports is another test's; here, that it is the same by every start method."""
    log = EXAMPLES.parents[1] / "examples" / "access_log" / "data" / "apache_logs.gz"
    program = EXAMPLES / "access_log.py"
    choose = (
        "import multiprocessing, runpy, sys; sys.argv[:1] = []; sys.path[:0] = [sys.argv[1]]; "
        f"multiprocessing.set_start_method({start!r}); del sys.argv[1]; "
        "import access_log; sys.exit(access_log.main())"
    )
    reports = [
        json.loads(
            succeed(
                "-c", choose, program, EXAMPLES, "--format", "json", "--executor", executor, log
            ).stdout
        )
        for executor in ("inline", "processes")
    ]
    assert reports[0] == reports[1]
    assert reports[0]["lines"] == 10_000
