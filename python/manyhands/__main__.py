"""python -m manyhands program.py [args] | -m module [args] | -c code [args]: runs an unchanged
program with `manyhands` in the place of `concurrent.futures`.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import io
import os
import pkgutil
import runpy
import sys
import types

from . import install

USAGE = "usage: python -m manyhands program.py [args] | -m module [args] | -c code [args]"


def main(argv: list[str]) -> None:
    """Run what the arguments name, as the interpreter itself would."""
    if argv[:1] in (["-h"], ["--help"]):
        print(f"{USAGE}\n\n{__doc__}")
        return
    option = argv[0] if argv and argv[0].startswith("-") else None
    if not argv or option not in (None, "-", "-m", "-c") or argv in (["-m"], ["-c"]):
        sys.exit(USAGE)
    install()
    if option == "-m":
        sys.argv = argv[1:]
        _set_path(os.getcwd())
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    elif option == "-c":
        sys.argv = ["-c", *argv[2:]]
        _set_path("")
        _exec(argv[1], "<string>", None)
    elif option == "-":
        sys.argv = argv
        _set_path("")
        _exec(sys.stdin.read(), "<stdin>", None)
    else:
        sys.argv = argv
        _run_file(argv[0])


def _run_file(program: str) -> None:
    path = os.path.abspath(program)
    try:
        with io.open_code(path) as file:
            source = file.read()
    except IsADirectoryError:
        source = b""
    except OSError as error:
        # In the words of the interpreter, and with its status.
        message = f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}"
        print(f"{sys.executable}: {message}", file=sys.stderr)
        sys.exit(2)
    importer = pkgutil.get_importer(path)
    if importer is not None or path.endswith(".pyc"):
        # A folder or an archive with a __main__.py, which runpy puts into sys.path itself.
        if not _is_safe_path():
            del sys.path[0]
        runpy.run_path(path, run_name="__main__")
        return
    _set_path(os.path.dirname(os.path.realpath(path)))
    _exec(source, program, path)


def _set_path(folder: str) -> None:
    """Put the program's folder where the interpreter has put that of `-m manyhands`, if it has."""
    if not _is_safe_path():
        sys.path[0] = folder


def _is_safe_path() -> bool:
    return bool(getattr(sys.flags, "safe_path", False))  # there since 3.11


def _exec(source: str | bytes, name: str, file: str | None) -> None:
    # The program is `__main__` for pickle and multiprocessing too, as if it had been started so.
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    if file is not None:
        module.__file__ = file
        module.__loader__ = importlib.machinery.SourceFileLoader("__main__", file)
    # By the second name, a program that is started by `multiprocessing` knows itself.
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    code = compile(source, name if file is None else file, "exec", dont_inherit=True)
    exec(code, module.__dict__)  # noqa: S102  # what this is for


if __name__ == "__main__":
    main(sys.argv[1:])
