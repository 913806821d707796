"""The example that checks the links of web pages, on pages of a server here."""

import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

import pytest
from programs import EXAMPLES, run

PROGRAM = EXAMPLES / "check_links.py"

PAGE = """
<p>See <a href="good">this</a>, <a href="/good#part">this</a>, <a href="gone">that</a>,
<a href="busy">those</a>, <a href="down">these</a>, <a name="here">and</a>
<a href="mailto:a@b.invalid">me</a>.
"""


class Pages(http.server.BaseHTTPRequestHandler):
    """`/busy` answers at the third time, `/down` never."""

    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        self.answer(200 if self.path == "/page" else 404, PAGE.encode())

    def do_HEAD(self) -> None:
        self.asked[self.path] += 1
        if self.path == "/busy" and self.asked["/busy"] < 3 or self.path == "/down":
            self.answer(503)
        else:
            self.answer(200 if self.path in ("/good", "/busy") else 404)

    def answer(self, code: int, page: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Pages.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as pages:
        threading.Thread(target=pages.serve_forever).start()
        yield f"http://127.0.0.1:{pages.server_port}"
        pages.shutdown()


def test_each_link_is_checked_and_what_is_busy_is_tried_again(server: str) -> None:
    ended = run(PROGRAM, f"{server}/page")
    assert (ended.code, ended.stderr) == (1, ""), ended
    assert ended.lines == [
        f"{server}/page: 4 links",
        f"  {server}/down: BusyError: 503 Service Unavailable",
        f"  {server}/gone: 404 Not Found",
    ]
    assert dict(Pages.asked) == {"/good": 1, "/gone": 1, "/busy": 3, "/down": 4}


def test_a_page_that_cannot_be_read_is_the_error(server: str) -> None:
    ended = run(PROGRAM, f"{server}/page", f"{server}/no-page")
    assert ended.code == 1 and ended.stdout == "", ended
    assert ended.stderr.splitlines()[-1] == "urllib.error.HTTPError: HTTP Error 404: Not Found"
