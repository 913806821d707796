"""Counts access logs a second time, slowly and simply, to check the figures of `access_log`.

    python3 count.py TOP FILE...

prints the report as JSON, but for the kind of flaw of each unparsable line.
"""

import collections
import gzip
import json
import re
import sys

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

QUOTED = rb'"((?:[^"\\]|\\.)*)"'
LINE = re.compile(
    rb"([^ ]+) [^ ]* .*? "
    rb"\[(0[1-9]|[12]\d|3[01])/(" + "|".join(MONTHS).encode() + rb")/(\d{4})"
    rb":([01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60) [+-]\d{4}\]"
    rb" " + QUOTED + rb" (\d{3}) (\d+|-)"
    rb"(?: " + QUOTED + rb" " + QUOTED + rb"(?: .*)?)?",
    re.DOTALL,
)


def page_of(request):
    words = request.split(b" ")
    if len(words) > 1:
        words = words[1:]
        if len(words) > 1 and words[-1].startswith(b"HTTP/"):
            words.pop()
    return b" ".join(words) or b"-"


def read(name):
    with open(name, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with (gzip.open if packed else open)(name, "rb") as file:
        lines = file.read().split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


class Traffic(dict):
    """Requests and bytes per key."""

    def __missing__(self, key):
        self[key] = [0, 0]
        return self[key]

    def add(self, key, size):
        self[key][0] += 1
        self[key][1] += size

    def top(self, count):
        rows = sorted(self.items(), key=lambda row: (-row[1][0], row[0]))
        return {
            "distinct": len(self),
            "top": [
                {"key": text(key), "requests": requests, "bytes": size}
                for key, (requests, size) in rows[:count]
            ],
        }


def text(raw):
    return raw.decode("utf-8", "replace")


def main(top, names):
    lines = 0
    unparsable = []
    responses = []
    statuses = collections.Counter()
    days, hours = Traffic(), Traffic()
    pages, not_found, referrers, agents, clients = (Traffic() for _ in range(5))

    for file, name in enumerate(names):
        for number, line in enumerate(read(name), 1):
            lines += 1
            match = LINE.fullmatch(line)
            if match is None:
                unparsable.append({"file": name, "line": number, "text": text(line[:160])})
                continue
            client, day, month, year, hour, request, status, size, referrer, agent = match.groups()
            page = page_of(request)
            size = 0 if size == b"-" else int(size)
            statuses[status.decode()] += 1
            days.add("%s-%02d-%s" % (year.decode(), MONTHS.index(month.decode()) + 1, day.decode()), size)
            hours.add(int(hour), size)
            pages.add(page, size)
            if status == b"404":
                not_found.add(page, size)
            referrers.add(referrer or b"-", size)
            agents.add(agent or b"-", size)
            clients.add(client, size)
            responses.append((-size, file, number, int(status), page, client))

    requests = sum(statuses.values())
    classes = dict.fromkeys(["1xx", "2xx", "3xx", "4xx", "5xx", "other"], 0)
    for status, count in statuses.items():
        classes[status[0] + "xx" if status[0] in "12345" else "other"] += count
    errors = classes["4xx"] + classes["5xx"]

    return {
        "inputs": names,
        "lines": lines,
        "requests": requests,
        "bytes": sum(size for _, size in clients.values()),
        "unparsable": {"lines": len(unparsable), "first": unparsable[:10]},
        "errors": {"requests": errors, "rate": errors / requests if requests else 0.0},
        "status_classes": classes,
        "statuses": statuses,
        "days": [{"day": day, "requests": r, "bytes": b} for day, (r, b) in sorted(days.items())],
        "hours": [{"hour": h, "requests": hours[h][0], "bytes": hours[h][1]} for h in range(24)],
        "pages": pages.top(top),
        "not_found": not_found.top(top),
        "referrers": referrers.top(top),
        "agents": agents.top(top),
        "clients": clients.top(top),
        "largest": [
            {"bytes": -size, "status": status, "page": text(page), "client": text(client),
             "file": names[file], "line": number}
            for size, file, number, status, page, client in sorted(responses)[:top]
        ],
    }


if __name__ == "__main__":
    json.dump(main(int(sys.argv[1]), sys.argv[2:]), sys.stdout, indent=2)
