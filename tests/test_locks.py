"""The lock files hold what setup.cfg asks for, by exact version and hash, and nothing else does."""

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "locks").glob("*.txt"), key=lambda path: path.name)
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)


def pins(lock: Path) -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for name, version in PIN.findall(lock.read_text()):
        found.setdefault(canonical(name), []).append(Version(version))
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(section: str, option: str) -> list[Requirement]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg")
    found = []
    for line in filter(None, parser[section][option].splitlines()):
        if line.startswith("%("):
            found += wanted("options.extras_require", line[2:-2])
        else:
            found.append(Requirement(line))
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_package_is_locked_by_hash(lock: Path) -> None:
    text = lock.read_text()
    assert len(PIN.findall(text)) >= 3
    for entry in re.split(r"\n(?=\S)", text):
        if entry.strip() and not entry.startswith("#"):
            assert PIN.match(entry), entry.splitlines()[0]
            assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert "http" not in re.sub(r"^[a-z0-9-]*http[a-z0-9-]*==.*$", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("lock", "section", "option"),
    [
        ("core", "options", "install_requires"),
        ("dev", "options", "install_requires"),
        ("dev", "options.extras_require", "dev"),
        ("bench-wire", "options.extras_require", "server"),
        ("clients", "options.extras_require", "aws"),
    ],
)
def test_what_setup_cfg_asks_for_is_locked(lock: str, section: str, option: str) -> None:
    locked = pins(ROOT / "locks" / f"{lock}.txt")
    for one in wanted(section, option):
        versions = locked.get(canonical(one.name))
        assert versions, f"{one.name} is not in locks/{lock}.txt: make lock"
        assert any(one.specifier.contains(version) for version in versions), (
            f"locks/{lock}.txt has {one.name} {versions[0]}, setup.cfg wants {one}: make lock"
        )
