"""The finished report: what is printed as JSON, and what the table shows. Text that is not UTF-8 is
shown with replacement characters.
"""

import dataclasses
import heapq
from typing import Any

from weblog.inputs import label
from weblog.line import MONTHS
from weblog.tally import Tally, Traffic

Report = dict[str, Any]


def make_report(inputs: list[str], tally: Tally) -> Report:
    names = [label(name) for name in inputs]
    requests = tally.lines - tally.unparsable
    statuses = {text(status): tally.statuses[status] for status in sorted(tally.statuses)}
    classes = dict.fromkeys(["1xx", "2xx", "3xx", "4xx", "5xx", "other"], 0)
    for status, answered in statuses.items():
        status_class = f"{status[0]}xx"
        classes[status_class if status_class in classes else "other"] += answered
    failed = classes["4xx"] + classes["5xx"]
    days = {iso(day): traffic for day, traffic in tally.traffic["days"].items()}
    hours = tally.traffic["hours"]
    return {
        "inputs": names,
        "lines": tally.lines,
        "requests": requests,
        "bytes": sum(traffic.bytes for traffic in days.values()),
        "unparsable": {
            "lines": tally.unparsable,
            "first": [
                {"file": names[file], "line": line, "flaw": flaw, "text": text(raw)}
                for file, line, flaw, raw in tally.first_unparsable
            ],
        },
        "errors": {"requests": failed, "rate": failed / requests if requests else 0.0},
        "status_classes": classes,
        "statuses": statuses,
        "days": [{"day": day, **dataclasses.asdict(days[day])} for day in sorted(days)],
        "hours": [
            {"hour": hour, **dataclasses.asdict(hours[b"%02d" % hour])} for hour in range(24)
        ],
        "pages": first(tally.traffic["pages"], tally.top),
        "not_found": first(tally.traffic["not_found"], tally.top),
        "referrers": first(tally.traffic["referrers"], tally.top),
        "agents": first(tally.traffic["agents"], tally.top),
        "clients": first(tally.traffic["clients"], tally.top),
        "largest": [
            {
                "bytes": -size,
                "status": int(status),
                "page": text(page),
                "client": text(client),
                "file": names[file],
                "line": line,
            }
            for size, file, line, status, page, client in tally.largest
        ],
    }


def first(rows: dict[bytes, Traffic], top: int) -> Report:
    """The keys with the most requests; of equals, the one that sorts first."""
    kept = heapq.nsmallest(top, rows.items(), key=lambda row: (-row[1].requests, row[0]))
    return {
        "distinct": len(rows),
        "top": [{"key": text(key), **dataclasses.asdict(traffic)} for key, traffic in kept],
    }


def text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def iso(day: bytes) -> str:
    """`17/May/2015` as `2015-05-17`."""
    date, month, year = text(day).split("/")
    return f"{year}-{MONTHS.index(month) + 1:02}-{date}"
