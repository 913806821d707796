"""One line of the log: what it says, or what is wrong with it.

The format is Apache's and Nginx's *combined* one, or the *common* one, which lacks the last two
fields:

    client identity user [17/May/2015:10:05:03 +0000] "GET /page HTTP/1.1" 200 12 "referrer" "agent"
"""

import re
from collections.abc import Sequence

# No server writes a longer line; a file that is not a log may.
LINE_BYTES = 8 << 20

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

DATE = (
    rb"\[((?:0[1-9]|[12]\d|3[01])/(?:" + "|".join(MONTHS).encode() + rb")/\d{4})"
    rb":([01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60) [+-]\d{4}\]"
)
QUOTED = rb' "([^"\\]*(?:\\.[^"\\]*)*)"'

# The parts of a line, each under the name of the flaw of a line that lacks it.
PARTS = {
    "client": rb"([^ ]+)",
    # A user's name may hold spaces and brackets: the first bracket that opens a date counts.
    "date": rb" [^ ]* .*? " + DATE,
    "request": QUOTED,
    "status": rb" (\d{3})",
    # 19 digits fit in 64 bits.
    "bytes": rb" (\d{1,19}|-)(?![^ ])",
    "referrer": QUOTED,
    # Many servers append fields of their own (times, hosts); those are not ours to judge.
    "agent": QUOTED + rb"(?![^ ])",
}
STEPS = {flaw: re.compile(part) for flaw, part in PARTS.items()}

# Most lines in one go, at half the cost; the steps are for the flawed and for brackets in names.
LINE = re.compile(
    rb"%(client)b%(date)b%(request)b%(status)b%(bytes)b(?:%(referrer)b%(agent)b.*)?"
    % {name.encode(): part for name, part in {**PARTS, "date": rb" [^ ]* [^[]* " + DATE}.items()}
)

FLAWS = {
    "empty": "the line is empty",
    "too_long": "the line is too long",
    "client": "no client at its beginning",
    "date": "no date such as [17/May/2015:10:05:03 +0000]",
    "request": "no request in closed quotes",
    "status": "no status of three digits",
    "bytes": "no size in bytes, nor `-`",
    "referrer": "no referrer in closed quotes",
    "agent": "no user agent in closed quotes",
}


def parse(line: bytes) -> Sequence[bytes] | str:
    """Client, day, hour, request, status, bytes, referrer and agent as written in a line that is
    given without its end; or the first flaw from the left.
    """
    if not line:
        return "empty"
    if len(line) >= LINE_BYTES:
        return "too_long"
    whole = LINE.fullmatch(line)
    return whole.groups(b"") if whole else parse_by_steps(line)


def parse_by_steps(line: bytes) -> Sequence[bytes] | str:
    fields: list[bytes] = []
    at = 0
    for flaw, step in STEPS.items():
        if flaw == "referrer" and at == len(line):
            return [*fields, b"", b""]
        match = step.match(line, at)
        if match is None:
            return flaw
        fields += match.groups()
        at = match.end()
    return fields


def page_of(request: bytes) -> bytes:
    """The request without its method and its protocol. Spaces in between belong to the page."""
    method, space, target = request.partition(b" ")
    if not space:
        return method or b"-"
    page, space, protocol = target.rpartition(b" ")
    return (page if space and protocol.startswith(b"HTTP/") else target) or b"-"
