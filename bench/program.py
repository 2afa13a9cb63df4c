"""The load generators that are written in C, compiled when they are first wanted."""

import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE.parent / ".cache"


def build(name, *libraries):
    """Compiles bench/NAME.c unless that is done, and returns the program's path."""
    source, program = HERE / f"{name}.c", FOLDER / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        FOLDER.mkdir(exist_ok=True)
        subprocess.run(["cc", "-O2", "-Wall", "-D_GNU_SOURCE", "-o", program, source, *libraries], check=True)
    return program
