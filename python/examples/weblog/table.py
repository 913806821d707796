"""The report as tables for people: numbers aligned, units readable, text last and made safe."""

import unicodedata
from collections.abc import Iterator
from typing import Any

from weblog.line import FLAWS
from weblog.report import Report

# Longer text is cut off; JSON has it whole.
TEXT_WIDTH = 100
BAR_WIDTH = 30
BIDI_CONTROLS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def table(report: Report) -> str:
    tops = {
        "Pages": "pages",
        "Pages not found (404)": "not_found",
        "Referrers": "referrers",
        "User agents": "agents",
        "Clients": "clients",
    }
    requests = report["requests"]
    days = [(row["day"], row) for row in report["days"]]
    hours = [(f"{row['hour']:02}:00", row) for row in report["hours"]]
    lines = [
        *summary(report),
        *times("Days", "day", days),
        *times("Hours of the day", "hour", hours),
        *shares("Status classes", report["status_classes"], requests),
        *shares("Statuses", report["statuses"], requests),
    ]
    for title, name in tops.items():
        lines += top(title, report[name], requests)
    return "\n".join([*lines, *largest(report), *unparsable(report), ""])


def summary(report: Report) -> Iterator[str]:
    days = [row["day"] for row in report["days"]]
    period = f"{days[0]} to {days[-1]}" if len(days) > 1 else "".join(days) or "-"
    failed, rate = report["errors"].values()
    unparsable = report["unparsable"]["lines"]
    yield f"Requests     {report['requests']:,}"
    yield f"Sent         {size(report['bytes'])}"
    yield f"Period       {period}"
    yield f"Errors       {failed:,} ({percent(rate)}) answered with 4xx or 5xx"
    yield f"Unparsable   {unparsable:,} of {report['lines']:,} lines"


def times(title: str, unit: str, rows: list[tuple[str, Report]]) -> Iterator[str]:
    most = max((row["requests"] for _, row in rows), default=0)
    cells = [
        [time, f"{row['requests']:,}", size(row["bytes"]), bar(share(row["requests"], most))]
        for time, row in rows
    ]
    return grid(title, [unit, "requests", "sent", ""], cells)


def shares(title: str, rows: dict[str, int], of: int) -> Iterator[str]:
    cells = [
        [name, f"{requests:,}", percent(share(requests, of)), bar(share(requests, of))]
        for name, requests in rows.items()
    ]
    return grid(title, ["status", "requests", "share", ""], cells)


def top(title: str, rows: Report, of: int) -> Iterator[str]:
    if len(rows["top"]) < rows["distinct"]:
        title = f"{title}: the first {len(rows['top']):,} of {rows['distinct']:,}"
    cells = [
        [
            f"{row['requests']:,}",
            percent(share(row["requests"], of)),
            size(row["bytes"]),
            shown(row["key"]),
        ]
        for row in rows["top"]
    ]
    return grid(title, ["requests", "share", "sent", ""], cells)


def largest(report: Report) -> Iterator[str]:
    cells = [
        [
            size(row["bytes"]),
            str(row["status"]),
            shown(row["client"]),
            place(row),
            shown(row["page"]),
        ]
        for row in report["largest"]
    ]
    return grid("Largest responses", ["sent", "status", "client", "logged at", "page"], cells)


def unparsable(report: Report) -> Iterator[str]:
    cells = [
        [place(row), FLAWS[row["flaw"]], shown(row["text"])]
        for row in report["unparsable"]["first"]
    ]
    return grid("First unparsable lines", ["line", "what is wrong", ""], cells)


def grid(title: str, header: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Columns to the right, the last one to the left; nothing at all for a table without rows."""
    if not rows:
        return
    yield f"\n{title}"
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    for *cells, last in [header, *rows]:
        aligned = [f"  {cell:>{width}}" for cell, width in zip(cells, widths)]
        yield f"{''.join(aligned)}  {last}".rstrip()


def shown(text: str) -> str:
    """Text of strangers: what it holds must not steer the terminal, nor break the table."""
    safe = "".join(
        f"\\u{{{ord(character):x}}}"
        if unicodedata.category(character) == "Cc" or character in BIDI_CONTROLS
        else character
        for character in text[:TEXT_WIDTH]
    )
    return safe + "\N{HORIZONTAL ELLIPSIS}" if len(text) > TEXT_WIDTH else safe


def place(row: dict[str, Any]) -> str:
    return shown(f"{row['file']}:{row['line']}")


def size(count: int) -> str:
    """Bytes in the unit that leaves one to four digits before the point."""
    if count < 1024:
        return f"{count} B  "
    amount = count / 1024
    units = iter(["KiB", "MiB", "GiB", "TiB", "PiB"])
    unit = next(units)
    # What would be rounded to 1024.0 is 1.0 of the larger unit.
    while amount >= 1023.95 and unit != "PiB":
        amount /= 1024
        unit = next(units)
    return f"{amount:.1f} {unit}"


def share(requests: int, of: int) -> float:
    return requests / of if of else 0.0


def percent(rate: float) -> str:
    return f"{rate * 100:.1f} %"


def bar(rate: float) -> str:
    return "#" * int(rate * BAR_WIDTH + 0.5)
