"""Download a list of URLs: the program of the 2009 proposal "futures - a new package for
asynchronous execution" (Brian Quinlan, stdlib-sig). URLs of one's own come as arguments.
"""

import functools
import sys
import urllib.request

import manyhands as futures

URLS = sys.argv[1:] or [
    "http://www.foxnews.com/",
    "http://www.cnn.com/",
    "http://europe.wsj.com/",
    "http://www.bbc.co.uk/",
    "http://some-made-up-domain.com/",
]


def load_url(url: str, timeout: float) -> bytes:
    page: bytes = urllib.request.urlopen(url, timeout=timeout).read()
    return page


with futures.ThreadPoolExecutor(max_threads=5) as executor:
    future_list = executor.run_to_futures([functools.partial(load_url, url, 30) for url in URLS])

for url, future in zip(URLS, future_list):
    if future.exception() is not None:
        print("%r generated an exception: %s" % (url, future.exception()))
    else:
        print("%r page is %d bytes" % (url, len(future.result())))
