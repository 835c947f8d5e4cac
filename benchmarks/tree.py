"""A checkout of taskflow that is measured, ours or an older one."""

import compileall
import subprocess
import tempfile
from argparse import ArgumentTypeError
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks import origin

ROOT = Path(__file__).parent.parent
OURS = "benchmarks"
PACKAGE = "taskflow"


def checkout(text: str) -> Path:
    """The argument of --beside. Raises ArgumentTypeError when it has no taskflow."""
    folder = Path(text)
    if not (folder / PACKAGE / "__init__.py").is_file():
        raise ArgumentTypeError(f"no package {PACKAGE} in {text!r}: is it a checkout?")
    return folder.resolve()


class Tree:
    """Inside the block, `environment` makes a process import the tree's taskflow.

    Its PYTHONPATH is one folder with two links: taskflow of the tree, and benchmarks of ours for
    all trees, so that they differ in nothing else. Both are compiled before anything is timed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        self._packages = tempfile.TemporaryDirectory(prefix="bench-")
        for name, owner in ((PACKAGE, self._folder), (OURS, ROOT)):
            link = Path(self._packages.name) / name
            link.symlink_to(owner / name, target_is_directory=True)
            compileall.compile_dir(link, quiet=2)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._packages.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        """What a process is given; `origin.check` in it looks whether it worked."""
        packages = self._packages.name
        return {"PYTHONPATH": packages, origin.VARIABLE: f"{packages}/{PACKAGE}"}

    @property
    def commit(self) -> str:
        """Short, with `-dirty` when files were changed; "unknown" outside git."""
        command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
        try:
            asked = subprocess.run(
                command, cwd=self._folder, capture_output=True, text=True, timeout=30, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return "unknown"
        return asked.stdout.strip()
