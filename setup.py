"""Builds the compiled modules: every .pxd that has a .pyx or .py beside it names one. The rest is in pyproject.toml."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "nonecheck": False,
    "infer_types": False,
    "auto_pickle": False,
}


def compiled_modules() -> list[Extension]:
    """One extension per .pxd, from its .pyx, or from its .py where the module is plain Python."""
    sources = []
    for pxd in sorted(path for package in ("storage", "broker") for path in Path(package).rglob("*.pxd")):
        source = next((path for path in (pxd.with_suffix(".pyx"), pxd.with_suffix(".py")) if path.exists()), None)
        if source is not None:
            sources.append((".".join(pxd.with_suffix("").parts), str(source)))
    flags = ["-O3", "-fno-strict-aliasing", "-fno-plt", "-Wno-unused-function", "-Wno-unreachable-code"]
    if "-g" not in os.environ.get("CFLAGS", "").split():
        flags.append("-g0")  # Python's own flags ask for line numbers, which cost a quarter of the time
    return [Extension(name, [source], extra_compile_args=flags) for name, source in sources]


if __name__ == "__main__":  # where processes are not forked, each of those that Cython starts imports this file
    processors = os.cpu_count() or 1
    setup(
        ext_modules=cythonize(
            compiled_modules(),
            compiler_directives=DIRECTIVES,
            nthreads=processors,
            build_dir="build/cython",
            quiet=True,
        ),
        options={"build_ext": {"parallel": processors}},
    )
