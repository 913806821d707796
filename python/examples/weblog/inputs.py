"""What to read: files, patterns, the standard input, plain or gzip; cut into blocks of lines, each
read only when it is asked for.
"""

import glob
import gzip
import io
import os
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from weblog.line import LINE_BYTES
from weblog.tally import Block

BLOCK_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
STDIN = "-"


class InputError(Exception):
    """An input that cannot be read to its end. Without it, a report would still look whole."""


def resolve(arguments: list[str]) -> list[str]:
    """The inputs that the arguments name, each looked for before the first is read."""
    inputs: list[str] = []
    for argument in arguments:
        names = [argument]
        if re.search(r"[*?[]", argument) and not os.path.exists(argument):
            names = sorted(glob.glob(argument))
            if not names:
                raise InputError(f"no file matches `{argument}`")
        for name in names:
            if name != STDIN:
                check(name)
        inputs += names
    return inputs


def check(name: str) -> None:
    try:
        os.stat(name)
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from error
    if os.path.isdir(name):
        raise InputError(
            f"{name} is a directory: name the files in it, for instance `{name}/*.log`"
        )


def label(name: str) -> str:
    return "standard input" if name == STDIN else name


def total_size(inputs: list[str]) -> int | None:
    """Bytes to read, before unpacking; None if that cannot be known beforehand."""
    if not all(map(os.path.isfile, inputs)):
        return None
    return sum(map(os.path.getsize, inputs))


def blocks(inputs: list[str], progress: Callable[[int], object]) -> Iterator[Block]:
    """The blocks of all inputs, each input opened when its turn comes; `progress` is told how many
    bytes were read, before unpacking.
    """
    for file, name in enumerate(inputs):
        is_stdin = name == STDIN
        is_packed = False
        try:
            with open(0 if is_stdin else name, "rb", closefd=not is_stdin) as raw:
                source = Source(raw, progress)
                # By name too: an empty or damaged .gz is an error, not a log without a good line.
                is_packed = source.head == GZIP_MAGIC or name.lower().endswith(".gz")
                if is_packed and not source.head:
                    raise EOFError("the file is empty")
                stream: io.BufferedIOBase = io.BufferedReader(source)
                if is_packed:
                    stream = gzip.GzipFile(fileobj=stream)
                for first_line, text in cut(stream):
                    yield Block(file, first_line, text)
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            if is_packed:
                reason = f"its gzip data is damaged or cut off: {reason}"
                raise InputError(f"cannot unpack {label(name)}, {reason}") from error
            raise InputError(f"cannot read {label(name)}: {reason}") from error


class Source(io.RawIOBase):
    """A file that shows its first two bytes and tells how much is read of it."""

    def __init__(self, file: Any, progress: Callable[[int], object]) -> None:
        self._file = file
        self._progress = progress
        self.head = self._unread = file.read(2)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._unread or self._file.read1(len(buffer))
        self._unread = b""
        buffer[: len(data)] = data
        self._progress(len(data))
        return len(data)


def cut(stream: io.BufferedIOBase) -> Iterator[tuple[int, bytes]]:
    """Whole lines by the block, with the number of the first. What a line that is too long has
    beyond the limit is dropped.
    """
    first_line = 1
    while text := stream.read(BLOCK_BYTES):
        text += stream.readline(LINE_BYTES)
        rest = text
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(LINE_BYTES)
        yield first_line, text
        first_line += text.count(b"\n") + (not text.endswith(b"\n"))
