"""Settings and broker addresses: the environment over setup.cfg; what is wrong is refused."""

from contextlib import suppress
from pathlib import Path
from traceback import format_exception

import pytest

from taskflow import open_broker
from taskflow.config import KNOWN, setting, shown_address
from taskflow.errors import ConfigError
from taskflow.server.keys import keys_file


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder and no settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in KNOWN:
        monkeypatch.delenv(f"TASKFLOW_{name.upper()}", raising=False)
    return tmp_path


def write(text: str) -> None:
    Path("setup.cfg").write_text(text, encoding="utf-8")


def test_without_a_setting_there_is_none() -> None:
    assert setting("broker") is None


@pytest.mark.parametrize("name", KNOWN)
def test_the_environment_comes_before_setup_cfg(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(f"[taskflow]\n{name} = from file\n")
    assert setting(name) == "from file"
    monkeypatch.setenv(f"TASKFLOW_{name.upper()}", "from environment")
    assert setting(name) == "from environment"


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    write("[taskflow]\nbroker = memory://\n")
    monkeypatch.setenv("TASKFLOW_BROKER", "")
    assert setting("broker") == "memory://"


def test_other_sections_are_others_business() -> None:
    write("[mypy]\nbroker = no\n")
    assert setting("broker") is None


def test_percent_signs_are_text() -> None:
    write("[taskflow]\nbroker = sqlite:///a%20b.db\n")
    assert setting("broker") == "sqlite:///a%20b.db"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[taskflow]\nbrokr = x\n", "unknown setting 'brokr'; known: broker, modules"),
        ("[taskflow]\nbroker = a\nbroker = b\n", "setup.cfg cannot be read: .*already exists"),
        ("broker = a\n", "setup.cfg cannot be read: File contains no section headers"),
    ],
)
def test_a_file_that_is_wrong_is_refused(text: str, message: str) -> None:
    write(text)
    with pytest.raises(ConfigError, match=message):
        setting("broker")


def test_a_file_that_is_no_text_is_refused() -> None:
    Path("setup.cfg").write_bytes(b"\xff\xfe[taskflow]")
    with pytest.raises(ConfigError, match=r"setup\.cfg cannot be read"):
        setting("broker")


# ---- addresses --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("sqlite:///a.db", "a.db"),
        ("sqlite:///a%20b.db", "a b.db"),
        ("sqlite:///a.db?durability=process", "a.db"),
        ("sqlite:///a.db?durability=power", "a.db"),
    ],
)
def test_a_relative_address_is_a_file_here(folder: Path, address: str, file: str) -> None:
    open_broker(address).close()
    assert (folder / file).is_file()


def test_an_absolute_address_has_four_slashes(folder: Path) -> None:
    open_broker(f"sqlite:///{folder}/deep.db").close()
    assert (folder / "deep.db").is_file()


def test_memory_makes_no_file(folder: Path) -> None:
    open_broker("memory://").close()
    assert list(folder.iterdir()) == []


def test_the_order_is_argument_environment_file_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_broker().close()
    assert (folder / "taskflow.db").exists()
    write("[taskflow]\nbroker = sqlite:///file.db\n")
    open_broker().close()
    assert (folder / "file.db").exists()
    monkeypatch.setenv("TASKFLOW_BROKER", "sqlite:///environment.db")
    open_broker().close()
    assert (folder / "environment.db").exists()
    open_broker("sqlite:///argument.db").close()
    assert (folder / "argument.db").exists()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (
            "broker.db",
            "no scheme; allowed are memory://, sqlite:///path/to/broker.db, postgresql://",
        ),
        ("/tmp/broker.db", "no scheme"),
        ("redis://localhost", "redis scheme; allowed are"),
        ("sqlite://broker.db", r"write sqlite:///broker.db \(three slashes: relative"),
        ("sqlite://host/broker.db", "'host' stands where a host would"),
        ("sqlite://", "names no file; example: sqlite:///taskflow.db"),
        ("sqlite:///", "names no file"),
        ("sqlite:////", "names no file"),
        ("sqlite:///a.db?durability=none", "durability is 'none'; allowed: power or process"),
        ("sqlite:///a.db?durability=", "durability is ''"),
        ("sqlite:///a.db?fsync=1", "unknown option 'fsync'; allowed: durability"),
        ("memory:///x", "memory:// takes no path and no options"),
        ("memory://?durability=power", "memory:// takes no path and no options"),
        ("memory://x", "stands where a host would"),
    ],
)
def test_an_address_that_is_none_is_refused_with_the_reason(
    folder: Path, address: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        open_broker(address)
    assert list(folder.iterdir()) == []


STRANGE = [
    "postgresql://u:s3cr3t@[::1/db",
    "postgresql://u:s3cr3t\N{ACCOUNT OF}@h/db",
    "postgresql://u:s3cr3t/x@h/db",
    "postgresql://u:s3cr3t#x@h/db",
    "postgresql://u:s3cr3t?x@h/db",
    "postgresql://u:s3cr3t",
    "postgresql:/u:s3cr3t@h/db",
    "postgresql://u@h/db?password=s3cr3t&unknown=1",
    "aws://u:s3cr3t@eu-west-1",
    "aws://eu-west-1?endpoint=http://u:s3cr3t@",
    "aws://eu-west-1?prefix=a.b&state=redis%3A%2F%2F%3Aa%2Fs3cr3t%40h%2F0",
    "aws://eu-west-1?prefix=a.b&state=redis%3A%2F%2Fh%2F0%3Fpassword%3Ds3cr3t",
    "aws://eu-west-1?unknown=1&idempotency=postgresql%3A%2F%2Fh%2Fdb%3Fpassword%3Ds3cr3t",
    "aws://eu-west-1?state=odd%3A%2F%2Fu%40v%3As3cr3t%40h",
    "aws://eu-west-1?payloads=s3%3A%2F%2Fu%3As3cr3t%40b",
    "redis://:s3cr3t@h/0",
    "amqp://u:s3cr3t@h//",
    "sqlite://u:s3cr3t@h/b.db",
    "memory://u:s3cr3t@h",
    "//u:s3cr3t@h/db",
    "u:s3cr3t@h/db",
]


@pytest.mark.parametrize("address", STRANGE)
def test_no_refusal_of_an_address_tells_its_password(address: str) -> None:
    """An address is often one of another program, or typed with a password as it is."""
    for read in (open_broker, keys_file):
        with pytest.raises(ConfigError) as refusal:
            read(address)
        assert "s3cr3t" not in "".join(format_exception(refusal.value))
    with suppress(ValueError):
        assert "s3cr3t" not in shown_address(address)
