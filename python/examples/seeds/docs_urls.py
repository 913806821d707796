"""Download a list of URLs and report each as it arrives: the `ThreadPoolExecutor` example of Python
3.2's documentation of `concurrent.futures`. URLs of one's own come as arguments.
"""

import sys
import urllib.request

import manyhands

URLS = sys.argv[1:] or [
    "http://www.foxnews.com/",
    "http://www.cnn.com/",
    "http://europe.wsj.com/",
    "http://www.bbc.co.uk/",
    "http://some-made-up-domain.com/",
]


def load_url(url: str, timeout: float) -> bytes:
    conn = urllib.request.urlopen(url, timeout=timeout)
    # The original's `readall()` left Python's HTTP responses long ago.
    page: bytes = conn.read()
    return page


with manyhands.ThreadPoolExecutor(max_workers=5) as executor:
    future_to_url = {executor.submit(load_url, url, 60): url for url in URLS}
    for future in manyhands.as_completed(future_to_url):
        url = future_to_url[future]
        try:
            data = future.result()
        except Exception as exc:
            print("%r generated an exception: %s" % (url, exc))
        else:
            print("%r page is %d bytes" % (url, len(data)))
