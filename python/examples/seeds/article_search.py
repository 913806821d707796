"""Search several files for a word in five forms: the programs of the article that introduced
`concurrent.futures` with Python 3.2. It reads `test1.txt` to `test3.txt` of the working directory.
"""

from typing import Any

import manyhands

files = ["test1.txt", "test2.txt", "test3.txt"]


def search(file: str, word: str) -> str:
    with open(file, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if word in line:
                return f"{word!r} is in line {number} of {file}"
    return f"{word!r} is not in {file}"


def search_file(file: str) -> str:
    return search(file, "Synergy")


def basic_search() -> None:
    with manyhands.ThreadPoolExecutor(max_workers=5) as executor:
        future1 = executor.submit(search, "test1.txt", "Test")
        future2 = executor.submit(search, "test2.txt", "synergy")
        future3 = executor.submit(search, "test3.txt", "Something Else")
        print(future1.result())
        print(future2.result())
        print(future3.result())


def process_result(future: Any) -> None:
    print("callback on result: " + future.result())


def with_callback() -> None:
    with manyhands.ThreadPoolExecutor(max_workers=5) as executor:
        executor.submit(search, "test1.txt", "Test").add_done_callback(process_result)
        executor.submit(search, "test2.txt", "Tset").add_done_callback(process_result)
        executor.submit(search, "test3.txt", "Something").add_done_callback(process_result)


def mapped_search() -> None:
    with manyhands.ThreadPoolExecutor(max_workers=5) as executor:
        for result in executor.map(search_file, files):
            print(result)


def parallel_search() -> None:
    with manyhands.ThreadPoolExecutor(max_workers=5) as executor:
        futures = [executor.submit(search, search_target, "Synergy") for search_target in files]
        results = manyhands.wait(futures)
        for completed in results.done:
            print(completed.result())


def completed_search() -> None:
    with manyhands.ThreadPoolExecutor(max_workers=5) as executor:
        search_futures = [executor.submit(search_file, file) for file in files]
        for future in manyhands.as_completed(search_futures):
            process_result(future)


if __name__ == "__main__":
    for form in [basic_search, with_callback, mapped_search, parallel_search, completed_search]:
        print(form.__name__)
        form()
