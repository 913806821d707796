"""Download a page twice at once: the I/O-bound example of "Programmer's Python: Async" (Mike
James), chapter on futures. A page of one's own comes as argument.
"""

import sys
import time
import urllib.request

import manyhands

URL = sys.argv[1] if len(sys.argv) > 1 else "http://www.example.com/"


def download() -> str:
    with urllib.request.urlopen(URL) as f:
        html: str = f.read().decode("utf-8")
    return html


with manyhands.ThreadPoolExecutor() as executor:
    t1 = time.perf_counter()
    f1 = executor.submit(download)
    f2 = executor.submit(download)
    t2 = time.perf_counter()
    print((t2 - t1) * 1000)
    print(f1.result()[:25])
    print(f2.result()[:25])
