"""Count a web server's logs, one after the other, on threads and on processes: after the abstract
of the talk "concurrent.futures is here" (Andrew Dalke, EuroPython 2012), which prints no program.

    python talk_logs.py LOG...      (plain or .gz)
"""

import collections
import gzip
import sys
from collections.abc import Iterable

import manyhands

Counts = collections.Counter[str]


def count_pages(name: str) -> Counts:
    pages: Counts = collections.Counter()
    opener = gzip.open if name.endswith(".gz") else open
    with opener(name, "rt", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            request = line.split('"', 2)[1:2]
            pages.update(" ".join(request).split(" ")[1:2])
    return pages


def report(title: str, counted: Iterable[Counts]) -> None:
    total: Counts = collections.Counter()
    for pages in counted:
        total += pages
    print(f"{title}: {sum(total.values())} requests")
    for page, requests in total.most_common(3):
        print(f"{requests:8} {page}")


def one_after_the_other(names: list[str]) -> None:
    report("one after the other", map(count_pages, names))


def with_submit(names: list[str]) -> None:
    with manyhands.ThreadPoolExecutor() as executor:
        futures = [executor.submit(count_pages, name) for name in names]
        report("threads, submit", (future.result() for future in futures))


def with_as_completed(names: list[str]) -> None:
    with manyhands.ThreadPoolExecutor() as executor:
        futures = [executor.submit(count_pages, name) for name in names]
        done = manyhands.as_completed(futures)
        report("threads, as completed", (future.result() for future in done))


def with_threads(names: list[str]) -> None:
    with manyhands.ThreadPoolExecutor() as executor:
        report("threads, map", executor.map(count_pages, names))


def with_processes(names: list[str]) -> None:
    with manyhands.ProcessPoolExecutor() as executor:
        report("processes, map", executor.map(count_pages, names))


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    for form in [one_after_the_other, with_submit, with_as_completed, with_threads, with_processes]:
        form(sys.argv[1:])
