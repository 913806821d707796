"""Checks the links of web pages, all at the same time: python check_links.py URL...

Whatever can be a bad moment of the network is tried again, with a longer delay each time, and no link
takes longer than half a minute. Ends with 1 if a link is broken, and with the error if a page is.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

from manyhands import Future, Retry, ThreadPoolExecutor, gather, task_scope

LINK_SECONDS = 30.0
ANSWER_SECONDS = 10.0


class BusyError(Exception):
    """The server may do better later."""


RETRY = Retry(4, first_delay=0.2, factor=3, exceptions=(BusyError, OSError))


def main(urls: list[str]) -> int:
    with ThreadPoolExecutor(32) as executor, task_scope(executor) as scope:
        # One page that cannot be read ends all.
        pages = [scope.submit(read, url) for url in urls]
        checks = [
            scope.submit_after(check_all, executor, url, page) for url, page in zip(urls, pages)
        ]
        reports = gather(*checks).then(lambda checked: gather(*checked)).result()
    broken = 0
    for url, verdicts in zip(urls, reports):
        print(f"{url}: {len(verdicts)} links")
        for link, verdict in verdicts:
            if verdict != "good":
                broken += 1
                print(f"  {link}: {verdict}")
    return 1 if broken else 0


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as page:
        text: str = page.read().decode("utf-8", "replace")
    return text


def check_all(executor: ThreadPoolExecutor, url: str, page: str) -> Future[list[tuple[str, str]]]:
    """What is to be said of each link; nobody waits for that here."""
    links = sorted(set(found_in(url, page)))
    return gather(*(check(executor, link) for link in links)).then(
        lambda verdicts: list(zip(links, verdicts))
    )


def check(executor: ThreadPoolExecutor, link: str) -> Future[str]:
    return RETRY.submit(executor, visit, link).with_timeout(LINK_SECONDS).catch(told)


def visit(link: str) -> str:
    request = urllib.request.Request(link, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):
            return "good"
    except urllib.error.HTTPError as error:
        if error.code in (429, 500, 502, 503, 504):
            raise BusyError(f"{error.code} {error.reason}") from error
        return f"{error.code} {error.reason}"


def told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def found_in(url: str, page: str) -> list[str]:
    finder = Finder()
    finder.feed(page)
    links = (urldefrag(urljoin(url, link)).url for link in finder.links)
    return [link for link in links if link.startswith(("http://", "https://"))]


class Finder(HTMLParser):
    """Finds the links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
