"""The access-log report: its figures are those of an independent count, on every executor; it reads
what it should, prints what it should, and fails as it should.
"""

import gzip
import json
import os
import runpy
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from programs import EXAMPLES, Ended, run, succeed

PROGRAM = EXAMPLES / "access_log.py"
RUST_EXAMPLE = EXAMPLES.parents[1] / "examples" / "access_log"
REAL_LOG = RUST_EXAMPLE / "data" / "apache_logs.gz"

LINE = b'10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET /page HTTP/1.1" 200 2048 "-" "agent"\n'

STAMP = b"[17/May/2015:10:05:03 +0000]"

# Lines that are odd and yet lines of a log.
ODD_LINES = [
    b"::1 - - " + STAMP + b' "GET /common HTTP/1.0" 200 12',
    b"::1 - - " + STAMP + b' "GET /\\"quoted\\" HTTP/1.1" 200 1 "a\\"b" "c\\\\"',
    b"::1 - - " + STAMP + b' "-" 408 - "-" "-"',
    b"::1 - a [b] c [31/Dec/1999:23:59:60 +1345] " + b'"" 400 0 "" ""',
    b"::1 - - " + STAMP + b' "\\x16\\x03" 400 226 "-" "\xff\xfe\xe9"',
    b"::1 - - " + STAMP + b' "GET /a b  HTTP/1.1" 404 5 "-" "-" 0.003 "more"',
    b"::1 - - " + STAMP + b' "GET /no-protocol" 200 5 "-" "-"',
    b"::1 - - " + STAMP + b' "GET HTTP/1.1" 009 5 "-" "-"',
    b"::1 -  " + STAMP + b' "GET  HTTP/1.1" 604 5 "-" "-"',
]

# Lines that cannot be parsed, each with what is wrong.
FLAWED_LINES = [
    (b"", "empty"),
    (b" - - " + STAMP + b' "GET / HTTP/1.1" 200 5', "client"),
    (b"no log at all", "date"),
    (b"::1 - - [17/Mai/2015:10:05:03 +0000] " + b'"GET / HTTP/1.1" 200 5', "date"),
    (b"::1 - - [17/May/2015:24:05:03 +0000] " + b'"GET / HTTP/1.1" 200 5', "date"),
    (b"::1 - " + STAMP + b' "GET / HTTP/1.1" 200 5', "date"),
    (b"::1 - - " + STAMP + b" GET / HTTP/1.1 200 5", "request"),
    (b"::1 - - " + STAMP + b' "GET / HTTP/1.1" 20 5', "status"),
    (b"::1 - - " + STAMP + b' "GET / HTTP/1.1" 200 5k', "bytes"),
    (b"::1 - - " + STAMP + b' "GET / HTTP/1.1" 200 5 ', "referrer"),
    (b"::1 - - " + STAMP + b' "GET / HTTP/1.1" 200 5 "-"', "agent"),
    (b"::1 - - " + STAMP + b' "GET / HTTP/1.1" 200 5 "-" "-"x', "agent"),
]

EXECUTORS = {
    "inline": ["--executor", "inline"],
    "1 thread": ["--executor", "threads", "--workers", "1"],
    "2 threads": ["--executor", "threads", "--workers", "2"],
    "5 threads": ["--executor", "threads", "--workers", "5"],
    "1 process": ["--executor", "processes", "--workers", "1"],
    "3 processes": ["--executor", "processes", "--workers", "3"],
}


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> list[str]:
    return EXECUTORS[request.param]


def report(*arguments: str | Path, stdin: bytes = b"") -> Any:
    return json.loads(succeed(PROGRAM, "--format", "json", *arguments, stdin=stdin).stdout)


def counted(top: int, *logs: Path) -> Any:
    """The report by the counter that checks the Rust program too."""
    count = runpy.run_path(str(RUST_EXAMPLE / "tests" / "count.py"))["main"]
    return json.loads(json.dumps(count(top, [str(log) for log in logs])))


def without_flaws(report: Any) -> Any:
    """The counter does not tell what is wrong with a line."""
    for row in report["unparsable"]["first"]:
        del row["flaw"]
    return report


def write(folder: Path, **contents: bytes) -> list[Path]:
    """Files in the order given; `__` in a name stands for a dot."""
    paths = []
    for name, content in contents.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content)
        paths.append(path)
    return paths


@pytest.mark.parametrize("top", [10_000, 7])
def test_figures_of_the_real_log_agree_with_an_independent_count(
    executor: list[str], top: int
) -> None:
    expected = counted(top, REAL_LOG)
    assert (expected["lines"], expected["unparsable"]["lines"]) == (10_000, 1)
    ours = without_flaws(report(*executor, "--top", str(top), REAL_LOG))
    assert list(ours) == list(expected)
    assert ours == expected


def test_figures_of_several_odd_inputs_agree_with_an_independent_count(
    executor: list[str], tmp_path: Path
) -> None:
    lines = [*ODD_LINES, *(line for line, _ in FLAWED_LINES)]
    odd = b"\n".join(lines)
    # Enough to fill several blocks, with the odd lines also where a compressed part ends.
    long = (gzip.decompress(REAL_LOG.read_bytes()) + odd + b"\n") * 2
    logs = write(
        tmp_path,
        long__log=long,
        windows__log=b"\r\n".join(lines),
        empty__log=b"",
        packed__log__gz=gzip.compress(long[:1_234_567]) + gzip.compress(long[1_234_567:]),
        odd__log=odd,
    )
    expected = counted(50, *logs)
    assert expected["lines"] == 4 * 10_000 + 6 * len(lines)
    assert expected["unparsable"]["lines"] == 4 + 6 * len(FLAWED_LINES)
    assert without_flaws(report(*executor, "--top", "50", *logs)) == expected


def test_every_flaw_is_told_with_its_line(tmp_path: Path) -> None:
    # The first date is the line's, even where a second one would make it a good line.
    two_dates = b"::1 - - " + STAMP + b" " + STAMP + b' "GET / HTTP/1.1" 200 5'
    lines = [*FLAWED_LINES, (two_dates, "request")]
    for at in range(0, len(lines), 10):
        flawed = lines[at : at + 10]
        (log,) = write(tmp_path, a__log=LINE + b"\n".join(line for line, _ in flawed) + b"\n")
        unparsable = report(log)["unparsable"]
        assert unparsable["lines"] == len(flawed)
        assert unparsable["first"] == [
            {"file": str(log), "line": number, "flaw": flaw, "text": line.decode()}
            for number, (line, flaw) in enumerate(flawed, 2)
        ]


def test_only_the_first_unparsable_lines_are_shown(executor: list[str], tmp_path: Path) -> None:
    # So long that each file has several blocks.
    logs = write(tmp_path, a=(b"x" * 99 + b"\n") * 30_000, b=(b"y" * 99 + b"\n") * 30_000)
    unparsable = report(*executor, *logs)["unparsable"]
    assert unparsable["lines"] == 60_000
    shown = [(row["file"], row["line"]) for row in unparsable["first"]]
    assert shown == [(str(logs[0]), line) for line in range(1, 11)]


def test_a_line_without_an_end_is_one_bad_line(tmp_path: Path) -> None:
    endless = b"z" * (20 << 20)
    (log,) = write(tmp_path, a__log=LINE + endless + b"\n" + LINE + endless)
    ours = report(log)
    assert (ours["lines"], ours["requests"]) == (4, 2)
    rows = ours["unparsable"]["first"]
    assert [(row["line"], row["flaw"]) for row in rows] == [(2, "too_long"), (4, "too_long")]
    assert rows[0]["text"] == "z" * 160
    assert [row["line"] for row in ours["largest"]] == [1, 3]


def test_a_table_for_people(tmp_path: Path) -> None:
    (log,) = write(tmp_path, a__log=LINE * 1500 + b"broken\x1b[2J\xe2\x80\xae" + b"x" * 200)
    lines = succeed(PROGRAM, log).lines
    for line in [
        "Requests     1,500",
        "Sent         2.9 MiB",
        "Period       2015-05-17",
        "Errors       0 (0.0 %) answered with 4xx or 5xx",
        "Unparsable   1 of 1,501 lines",
        "  2015-05-17     1,500  2.9 MiB  ##############################",
        "     1,500  100.0 %  2.9 MiB  /page",
    ]:
        assert line in lines
    last = lines[-1]
    assert "a.log:1501  no date such as" in last
    assert r"broken\u{1b}[2J\u{202e}xxx" in last
    assert last.endswith("x\N{HORIZONTAL ELLIPSIS}")


def test_several_files_and_patterns_add_up(tmp_path: Path) -> None:
    a, b, c, odd = write(
        tmp_path,
        a__log=LINE * 10,
        b__log=(LINE * 20).rstrip(),
        # Known by its content, not its name.
        c__txt=gzip.compress(LINE) + gzip.compress(LINE * 2),
        **{"[ab]__log": LINE * 40},
    )
    ours = report(a, c, b)
    assert (ours["requests"], ours["inputs"]) == (33, [str(a), str(c), str(b)])
    assert report(tmp_path / "?.log")["inputs"] == [str(a), str(b)]
    # Not a pattern, since there is a file of this name.
    assert report(odd)["requests"] == 40


def test_standard_input_plain_and_compressed() -> None:
    for content in [LINE * 3, gzip.compress(LINE * 3)]:
        ours = report("-", stdin=content)
        assert (ours["requests"], ours["inputs"]) == (3, ["standard input"])
    nothing = report("-")
    assert (nothing["lines"], nothing["errors"]["rate"]) == (0, 0.0)
    assert "Period       -" in succeed(PROGRAM, "-").lines


@pytest.mark.parametrize("top", [0, 1, 3])
def test_the_tables_have_as_many_rows_as_wanted(top: int) -> None:
    ours = report("--top", str(top), REAL_LOG)
    tables = [ours["pages"]["top"], ours["clients"]["top"], ours["largest"]]
    assert [len(table) for table in tables] == [top] * 3
    assert ours["clients"]["distinct"] == 1753


def fails(code: int, *arguments: str | Path) -> str:
    ended = run(PROGRAM, *arguments)
    assert (ended.code, ended.stdout) == (code, "")
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.parametrize("executor_name", ["inline", "threads", "processes"])
def test_damaged_gzip_is_named_and_nothing_is_reported(tmp_path: Path, executor_name: str) -> None:
    packed = gzip.compress(LINE * 1000)
    damaged = bytearray(packed)
    damaged[len(damaged) // 2] ^= 0xFF
    good, *bad = write(
        tmp_path,
        good__log=LINE,
        cut__log__gz=packed[:-5],
        head__log__gz=packed[:1],
        empty__log__gz=b"",
        plain__log__gz=LINE,
        damaged__log__gz=bytes(damaged),
        trailing__log__gz=packed + LINE,
    )
    for log in bad:
        message = fails(1, "--executor", executor_name, good, log)
        assert message.startswith(f"access_log: cannot unpack {log}, its gzip data is damaged")


def test_inputs_that_are_not_there_are_named_before_any_is_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.log"
    assert fails(1, REAL_LOG, missing) == (
        f"access_log: cannot read {missing}: No such file or directory\n"
    )
    assert f"{tmp_path} is a directory: name the files in it" in fails(1, REAL_LOG, tmp_path)
    pattern = f"{tmp_path}/*.nothing"
    assert fails(1, REAL_LOG, pattern) == f"access_log: no file matches `{pattern}`\n"


def test_options_that_make_no_sense_are_refused() -> None:
    assert "--workers: 0 is too few; give 1 or more" in fails(2, "-", "--workers", "0")
    assert "--workers" in fails(2, "-", "--workers", "many")
    assert "--top: -1 is too few; give 0 or more" in fails(2, "-", "--top=-1")
    assert "--executor" in fails(2, "-", "--executor", "magic")
    assert "LOG" in fails(2)


def shell(script: str, *arguments: str | Path) -> Ended:
    """A shell in whose script "$@" runs the program."""
    return run("-c", script, sys.executable, sys.executable, PROGRAM, *arguments, executable="sh")


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    # Far more rows than a pipe holds, so that writing goes on after `head` has left.
    ended = shell('{ "$@"; echo $? >&2; } | head -n 1', "--top", "100000", REAL_LOG, REAL_LOG)
    assert (ended.stdout, ended.stderr) == ("Requests     19,998\n", "0\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds all data by `ulimit -d`")
@pytest.mark.parametrize("executor_name", ["inline", "threads"])
def test_memory_does_not_grow_with_the_log(tmp_path: Path, executor_name: str) -> None:
    # Twice as large as all the memory that the program may take; long lines are counted fast.
    line = LINE.replace(b"/page", b"/" + b"p" * 30_000)
    (log,) = write(tmp_path, large__log=line * 8000)
    options = ["--format", "json", "--workers", "2", "--executor", executor_name]
    ended = shell('ulimit -d 120000; "$@"', *options, log)
    assert (ended.code, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["requests"] == 8000


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_the_bar_is_drawn_on_a_terminal_alone() -> None:
    import fcntl
    import pty
    import termios

    assert succeed(PROGRAM, REAL_LOG).stderr == ""
    ours, theirs = pty.openpty()
    # Nothing fits on a terminal of no size. What was not drawn must not be waited for.
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    os.set_blocking(ours, False)
    drawn = []
    for log in [str(REAL_LOG), "-"]:
        assert run(PROGRAM, log, stderr=theirs).code == 0
        drawn.append(os.read(ours, 1 << 16).decode())
    os.close(ours)
    os.close(theirs)
    assert "0.00/221k [00:00<?, ?B/s]" in drawn[0]
    # What comes in is of unknown length.
    assert "0.00B [00:00, ?B/s]" in drawn[1]
