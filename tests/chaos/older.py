"""An older framework, taken out of the repository's history, for the chaos run's own processes."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def taken_out(revision: str, folder: Path) -> Path:
    """A new folder that holds `taskflow` as it was, and the chaos run as it is: a place to start
    processes in. Raises ValueError for what is no revision with a framework."""
    folder.mkdir()
    archive = subprocess.run(
        ["git", "archive", "--format=tar", "--end-of-options", revision, "taskflow"],
        cwd=ROOT,
        capture_output=True,
    )
    if archive.returncode:
        why = archive.stderr.decode(errors="replace").strip()
        raise ValueError(f"{revision!r} is no revision that has a taskflow: {why}")
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    (folder / "tests").symlink_to(ROOT / "tests")
    return folder
