"""Download a page twice and take each as it arrives: the `as_completed` example of "Programmer's
Python: Async" (Mike James), chapter on futures. A page of one's own comes as argument.
"""

import sys
import urllib.request

import manyhands

URL = sys.argv[1] if len(sys.argv) > 1 else "http://www.example.com/"


def download() -> str:
    with urllib.request.urlopen(URL) as f:
        html: str = f.read().decode("utf-8")
    return html


with manyhands.ThreadPoolExecutor() as executor:
    f1 = executor.submit(download)
    f2 = executor.submit(download)
    for f in manyhands.as_completed([f1, f2]):
        print(f.result()[:25])
