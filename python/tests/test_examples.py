"""The programs that futures in Python were introduced with say what their documents say: with only
their imports changed, and, where they need nothing newer than the standard library, also unchanged
under `python -m manyhands` and on the standard library itself.
"""

import gzip
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from programs import EXAMPLES, Ended, run, succeed

SEEDS = EXAMPLES / "seeds"

NOWHERE = "http://some-made-up-domain.invalid/"

PRIMES = [
    "112272535095293 is prime: True",
    "112582705942171 is prime: True",
    "112272535095293 is prime: True",
    "115280095190773 is prime: True",
    "115797848077099 is prime: True",
    "1099726899285419 is prime: False",
]

HTML = "<!doctype html><title>One page for all</title>"

# Runs a program with a tenth of the time for each page, which is how long the test will wait.
IN_A_HURRY = """
import runpy, sys, urllib.request
urlopen = urllib.request.urlopen
urllib.request.urlopen = lambda url, timeout: urlopen(url, timeout=timeout / 10)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

Program = Callable[..., Ended]


@pytest.fixture(params=["import changed", "python -m manyhands", "standard library"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Program:
    """Runs a seed's program by name: ours as it is, or as its document has it."""

    def run_program(name: str, *arguments: str | Path, cwd: Path | None = None) -> Ended:
        path = SEEDS / name
        if request.param == "import changed":
            return succeed(path, *arguments, cwd=cwd)
        ours = path.read_text("utf-8")
        original = tmp_path / name
        original.write_text(ours.replace("manyhands", "concurrent.futures"), "utf-8")
        assert "\nimport manyhands\n" in ours
        if request.param == "standard library":
            return succeed(original, *arguments, cwd=cwd)
        return succeed("-m", "manyhands", original, *arguments, cwd=cwd)

    return run_program


class Pages(http.server.BaseHTTPRequestHandler):
    """Serves `/<n>` as a page of n bytes and `/html` as a page to read; never answers `/hang`."""

    over = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/hang":
            self.over.wait()
        elif self.path == "/html":
            self.answer(HTML.encode())
        elif self.path[1:].isdecimal():
            self.answer(b"x" * int(self.path[1:]))
        else:
            self.send_error(404)

    def answer(self, page: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as pages:
        threading.Thread(target=pages.serve_forever).start()
        yield f"http://127.0.0.1:{pages.server_port}"
        Pages.over.set()
        pages.shutdown()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the article's three files."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "test1.txt").write_text("a first line\nTest of Synergy\nSynergy\n")
    (folder / "test2.txt").write_text("much synergy\n")
    (folder / "test3.txt").write_text("Synergy or Something\n")
    return folder


def test_proposal_urls(server: str) -> None:
    urls = [f"{server}/13", NOWHERE, f"{server}/50000", f"{server}/gone"]
    first, nowhere, large, gone = succeed(SEEDS / "proposal_urls.py", *urls).lines
    assert first == f"'{urls[0]}' page is 13 bytes"
    assert nowhere.startswith(f"'{NOWHERE}' generated an exception: <urlopen error")
    assert large == f"'{urls[2]}' page is 50000 bytes"
    assert gone == f"'{urls[3]}' generated an exception: HTTP Error 404: Not Found"


def test_proposal_primes() -> None:
    assert succeed(SEEDS / "proposal_primes.py").lines == PRIMES + PRIMES


def test_docs_urls(program: Program, server: str) -> None:
    urls = [f"{server}/gone", NOWHERE, f"{server}/13", f"{server}/50000"]
    said = sorted(program("docs_urls.py", *urls).lines)
    assert said[:3] == [
        f"'{server}/13' page is 13 bytes",
        f"'{server}/50000' page is 50000 bytes",
        f"'{server}/gone' generated an exception: HTTP Error 404: Not Found",
    ]
    assert said[3].startswith(f"'{NOWHERE}' generated an exception: <urlopen error")
    assert len(said) == 4


@pytest.mark.parametrize("name", ["proposal_urls.py", "docs_urls.py"])
def test_a_page_that_never_comes_is_its_own_failure_alone(name: str, server: str) -> None:
    urls = [f"{server}/hang", f"{server}/1"]
    said = succeed("-c", IN_A_HURRY, SEEDS / name, *urls).lines
    late, good = f"'{urls[0]}' generated an exception: ", f"'{urls[1]}' page is 1 bytes"
    # The documentation's program takes each page as it comes, the proposal's keeps their order.
    position = 1 if name == "docs_urls.py" else 0
    assert said[position].startswith(late)
    assert "timed out" in said[position]
    assert said[1 - position] == good


def test_docs_primes(program: Program) -> None:
    assert program("docs_primes.py").lines == PRIMES


def test_article_search(program: Program, files: Path) -> None:
    lines = program("article_search.py", cwd=files).lines
    forms = ["basic_search", "with_callback", "mapped_search", "parallel_search"]
    starts = [lines.index(form) for form in [*forms, "completed_search"]]
    ends = [*starts[1:], len(lines)]
    basic, callback, mapped, parallel, completed = [
        lines[start + 1 : end] for start, end in zip(starts, ends)
    ]
    assert basic == [
        "'Test' is in line 2 of test1.txt",
        "'synergy' is in line 1 of test2.txt",
        "'Something Else' is not in test3.txt",
    ]
    # Callbacks print from several threads: lines may run together, and their ends come later.
    assert sorted("".join(callback).split("callback on result: ")) == [
        "",
        "'Something' is in line 1 of test3.txt",
        "'Test' is in line 2 of test1.txt",
        "'Tset' is not in test2.txt",
    ]
    synergy = [
        "'Synergy' is in line 2 of test1.txt",
        "'Synergy' is not in test2.txt",
        "'Synergy' is in line 1 of test3.txt",
    ]
    assert mapped == synergy
    assert sorted(parallel) == sorted(synergy)
    assert sorted(completed) == sorted(f"callback on result: {line}" for line in synergy)


@pytest.mark.parametrize("name", ["book_download.py", "book_download_processes.py"])
def test_book_download(program: Program, name: str, server: str) -> None:
    milliseconds, *pages = program(name, f"{server}/html").lines
    assert float(milliseconds) > 0
    assert pages == [HTML[:25]] * 2


def test_book_wait(program: Program, server: str) -> None:
    milliseconds, *pages = program("book_wait.py", f"{server}/html").lines
    assert float(milliseconds) > 0
    # Both, if the second came while the first was being told.
    assert pages in ([HTML[:25]], [HTML[:25]] * 2)


def test_book_as_completed(program: Program, server: str) -> None:
    assert program("book_as_completed.py", f"{server}/html").lines == [HTML[:25]] * 2


def test_talk_logs(program: Program, tmp_path: Path) -> None:
    line = '10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET {} HTTP/1.1" 200 12 "-" "-"\n'
    plain, packed = tmp_path / "plain.log", tmp_path / "packed.log.gz"
    plain.write_text(line.format("/a") * 3 + line.format("/b") + "no log at all\n")
    packed.write_bytes(gzip.compress((line.format("/b") * 4 + line.format("/c")).encode()))
    forms = [
        "one after the other", "threads, submit", "threads, as completed", "threads, map",
        "processes, map",
    ]  # fmt: skip
    pages = ["       5 /b", "       3 /a", "       1 /c"]
    expected = [line for form in forms for line in [f"{form}: 9 requests", *pages]]
    assert program("talk_logs.py", plain, packed).lines == expected


def test_talk_logs_wants_a_log() -> None:
    ended = run(SEEDS / "talk_logs.py")
    assert ended.code == 1
    assert "python talk_logs.py LOG..." in ended.stderr


def test_talk_own_executor(program: Program) -> None:
    *bits, one, other = program("talk_own_executor.py", "1", "255", "256").lines
    assert bits == ["1 has 1 bits", "255 has 8 bits", "256 has 9 bits"]
    assert sorted([one, other]) == ["1024", "integer division or modulo by zero"]


def test_talk_properties() -> None:
    lines = succeed(SEEDS / "talk_properties.py", "H2O", "Xx").lines
    assert lines == [
        "H2O: 18.02 g/mol",
        "  11.2 % H, 88.8 % O; 0 rings or double bonds; a fragment",
        "Xx: 'atoms' failed: ValueError: Xx in Xx is no element known here; "
        + "so these were not run: 'mass'",
        "",
        "Of caffeine, this has been computed: rule_of_three, mass, heavy_atoms, atoms, formula",
        "Without a methyl group: 180.17 g/mol",
    ]


def test_every_program_opens_with_the_name_of_its_document() -> None:
    documents = {
        "proposal": "2009 proposal",
        "docs": "Python 3.2's documentation",
        "article": "article that introduced",
        "book": "Programmer's",
        "talk": "EuroPython 2012",
    }
    programs = list(SEEDS.glob("*.py"))
    assert len(programs) == 12
    for path in programs:
        docstring = " ".join(path.read_text("utf-8").split('"""')[1].split())
        assert documents[path.stem.partition("_")[0]] in docstring
