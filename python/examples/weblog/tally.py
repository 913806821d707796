"""Counting: a block of lines becomes a tally, and tallies add up to the whole."""

import collections
import dataclasses
import heapq
from typing import NamedTuple

from weblog.line import page_of, parse

SHOWN_UNPARSABLE = 10
SHOWN_BYTES = 160


class Block(NamedTuple):
    """Whole lines of one file; only the last may lack its end."""

    file: int
    first_line: int
    text: bytes


@dataclasses.dataclass(slots=True)
class Traffic:
    requests: int = 0
    bytes: int = 0


class Tally:
    """Everything that is counted."""

    def __init__(self, top: int) -> None:
        self.top = top
        self.lines = 0
        self.unparsable = 0
        # File, line, flaw and text.
        self.first_unparsable: list[tuple[int, int, str, bytes]] = []
        self.statuses: collections.Counter[bytes] = collections.Counter()
        # Size, file, line, status, page and client. Sizes are negative, so that the largest
        # response sorts first, and of equals the earliest.
        self.largest: list[tuple[int, int, int, bytes, bytes, bytes]] = []
        self.traffic: dict[str, dict[bytes, Traffic]] = {
            table: collections.defaultdict(Traffic)
            for table in [
                "days", "hours", "pages", "not_found", "referrers", "agents", "clients"
            ]
        }  # fmt: skip

    def merge(self, other: "Tally") -> None:
        """Add what was counted elsewhere. The order of blocks does not matter."""
        self.lines += other.lines
        self.unparsable += other.unparsable
        self.first_unparsable += other.first_unparsable
        self.statuses += other.statuses
        self.largest += other.largest
        for table, rows in other.traffic.items():
            mine = self.traffic[table]
            for key, traffic in rows.items():
                row = mine[key]
                row.requests += traffic.requests
                row.bytes += traffic.bytes
        self.drop_the_rest()

    def drop_the_rest(self) -> None:
        """Of what is listed, keep no more than will be shown."""
        self.first_unparsable = heapq.nsmallest(SHOWN_UNPARSABLE, self.first_unparsable)
        self.largest = heapq.nsmallest(self.top, self.largest)


def count_block(block: Block, top: int) -> Tally:
    """The task that the executor runs."""
    tally = Tally(top)
    days, hours, pages, not_found, referrers, agents, clients = tally.traffic.values()
    lines = block.text.split(b"\n")
    if not lines[-1]:
        lines.pop()
    for number, raw in enumerate(lines, block.first_line):
        line = raw.removesuffix(b"\r")
        fields = parse(line)
        if isinstance(fields, str):
            tally.first_unparsable.append((block.file, number, fields, line[:SHOWN_BYTES]))
            continue
        client, day, hour, request, status, size, referrer, agent = fields
        page = page_of(request)
        sent = 0 if size == b"-" else int(size)
        rows = [
            days[day], hours[hour], pages[page], referrers[referrer or b"-"],
            agents[agent or b"-"], clients[client],
        ]  # fmt: skip
        if status == b"404":
            rows.append(not_found[page])
        for row in rows:
            row.requests += 1
            row.bytes += sent
        tally.statuses[status] += 1
        tally.largest.append((-sent, block.file, number, status, page, client))
    tally.lines = len(lines)
    tally.unparsable = len(tally.first_unparsable)
    tally.drop_the_rest()
    return tally
