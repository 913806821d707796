"""Reports on Apache and Nginx access logs in the combined or the common format.

    python access_log.py LOG...

Counts requests and bytes per day, hour, page, referrer, user agent and client, statuses, errors,
pages not found and the largest responses. Days and hours are those written in the log; time zones
are not converted. Lines that cannot be parsed are counted, and the first are shown.

Memory does not grow with the size of the log, but with the number of its different pages,
referrers, agents and clients: each is counted exactly. If an input cannot be read to its end,
nothing is reported, and the exit status is 1. The progress bar is tqdm's: pip install tqdm.
"""

import argparse
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn

from tqdm import tqdm
from weblog.inputs import InputError, blocks, resolve, total_size
from weblog.report import make_report
from weblog.table import table
from weblog.tally import Block, Tally, count_block

from manyhands import ProcessPoolExecutor, ThreadPoolExecutor


def main() -> int:
    options = parse_arguments()
    total = Tally(options.top)
    try:
        inputs = resolve(options.inputs)
        with progress_bar(inputs) as bar:
            for tally in counted(blocks(inputs, bar.update), options):
                total.merge(tally)
    except InputError as error:
        print(f"access_log: {error}", file=sys.stderr)
        return 1
    report = make_report(inputs, total)
    if options.format == "json":
        write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    else:
        write(table(report))
    return 0


def counted(read: Iterable[Block], options: argparse.Namespace) -> Iterator[Tally]:
    """The one place where the executor is chosen. Memory is bounded by the blocks on their way.

    Counting is all Python, so where there is a GIL threads are no faster than one; processes are.
    """
    tops = itertools.repeat(options.top)
    if options.executor == "inline":
        yield from map(count_block, read, tops)
        return
    pool = ThreadPoolExecutor if options.executor == "threads" else ProcessPoolExecutor
    with pool(options.workers) as executor:
        ahead = 2 * options.workers
        yield from executor.map(count_block, read, tops, buffersize=ahead, ordered=False)


def progress_bar(inputs: list[str]) -> "tqdm[NoReturn]":
    """Bytes, rate and time left; draws nothing unless standard error is a terminal."""
    return tqdm(
        total=total_size(inputs),
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        leave=False,
        disable=None,
    )


def write(text: str) -> None:
    try:
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough, as in `access_log.py ... | head`; the rest must not be
        # flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="access_log",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="LOG",
        help="files, patterns such as 'logs/*.gz', or - for the standard input; plain or gzip",
    )
    parser.add_argument(
        "--executor",
        choices=["inline", "threads", "processes"],
        default="threads",
        help="where blocks of lines are counted [default: %(default)s]",
    )
    parser.add_argument(
        "--workers",
        type=at_least(1),
        default=os.cpu_count() or 1,
        help="threads or processes of the executor [default: one per core]; inline has none",
    )
    parser.add_argument(
        "--top",
        type=at_least(0),
        default=10,
        help="rows of each table [default: %(default)s]",
    )
    parser.add_argument(
        "--format",
        choices=["table", "json"],
        default="table",
        help="what is printed [default: %(default)s]",
    )
    return parser.parse_args()


def at_least(least: int) -> Callable[[str], int]:
    def number(argument: str) -> int:
        if int(argument) < least:
            raise argparse.ArgumentTypeError(f"{argument} is too few; give {least} or more")
        return int(argument)

    return number


if __name__ == "__main__":
    sys.exit(main())
