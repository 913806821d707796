"""python -m manyhands program.py [args] | -m module [args] | -c code [args]: runs an unchanged
program with `manyhands` in the place of `concurrent.futures`.
"""

from __future__ import annotations

import io
import os
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
    if (
        not argv
        or argv in (["-m"], ["-c"])
        or (argv[0].startswith("-") and argv[0] not in ("-m", "-c"))
    ):
        sys.exit(USAGE)
    install()
    if argv[0] == "-m":
        sys.argv = argv[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    elif argv[0] == "-c":
        sys.argv = ["-c", *argv[2:]]
        sys.path[0] = ""
        _exec(argv[1], "<string>", None)
    else:
        sys.argv = argv
        program = argv[0]
        if os.path.isdir(program) or not os.path.exists(program):
            runpy.run_path(program, run_name="__main__")
            return
        sys.path[0] = os.path.dirname(os.path.abspath(program))
        with io.open_code(os.path.abspath(program)) as source:
            _exec(source.read(), program, program)


def _exec(source: str | bytes, name: str, file: str | None) -> None:
    # The program is `__main__` for pickle and multiprocessing too, as if it had been started so.
    module = types.ModuleType("__main__")
    if file is not None:
        module.__file__ = file
    sys.modules["__main__"] = module
    exec(compile(source, name, "exec"), module.__dict__)  # noqa: S102  # what this is for


if __name__ == "__main__":
    main(sys.argv[1:])
