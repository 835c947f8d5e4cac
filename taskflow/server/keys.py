"""The access keys of a broker file.

The keys lie in `<broker file>-keys.json`, secrets in the clear: a request signature is an HMAC,
and to check it one needs the secret itself, so it cannot be hashed at rest as a password would be.
That is why the file must belong to its owner alone (mode 0600) and is refused otherwise.
"""

import fcntl
import os
import re
import secrets
import shlex
import stat
import string
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Literal
from urllib.parse import unquote, urlsplit

import msgspec

from taskflow.errors import ConfigError
from taskflow.server.access_key import VERBS, Key, Verb
from taskflow.text import without_secrets

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_ID = re.compile(r"TF[A-Z0-9]{18}")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: Literal[1]
    keys: list[Key]


def keys_file(address: str) -> Path:
    """The keys file of the broker at a `sqlite:///` address. ConfigError for any other."""
    try:
        parts = urlsplit(address)
    except ValueError:  # its text quotes the address
        shown = without_secrets(address)
        raise ConfigError(f"broker address {shown!r}: its host cannot be read") from None
    path = unquote(parts.path)[1:]
    if parts.scheme != "sqlite" or parts.netloc or not path.strip("/"):
        raise ConfigError(
            "access keys lie beside a broker file (sqlite:///path/to/broker.db), or where --keys "
            f"says; this broker is at {parts.scheme}://…"
        )
    return Path(f"{path}-keys.json")


class Keys:
    """The keys in a file. Sees what other processes change; threads may share it.

    Every call may raise ConfigError: the file cannot be read or written, is damaged, is open to
    others, or is gone after it was seen, which must never mean that everybody may enter.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._name = os.fspath(path)
        self._seen: tuple[tuple[int, ...] | None, dict[str, Key]] = (None, {})

    @classmethod
    def load(cls, path: Path) -> "Keys":
        """The keys of a file, which need not exist yet."""
        keys = cls(path)
        keys._current()
        return keys

    @property
    def configured(self) -> bool:
        """Whether there is a keys file; one without keys lets nobody in."""
        self._current()
        return self._seen[0] is not None

    def all(self) -> list[Key]:
        """Every key, oldest first."""
        return list(self._current().values())

    def find(self, access_key_id: str) -> Key | None:
        """The key with this id. Costs one `stat` while the file does not change."""
        return self._current().get(access_key_id)

    def add(
        self,
        name: str,
        now: float,
        *,
        queues: Sequence[str] = ("*",),
        topics: Sequence[str] = ("*",),
        verbs: Sequence[Verb] = VERBS,
    ) -> Key:
        """Make a key and write it to disk. Raises ConfigError for a name that is taken or bad."""
        if not _NAME.fullmatch(name) or _ID.fullmatch(name):
            raise ConfigError(
                f"key name {name!r}: letters, digits and '_.@-', 64 at most, not like a key id"
            )
        if unknown := set(verbs) - set(VERBS):
            raise ConfigError(f"verb {min(unknown)!r}; allowed: {', '.join(VERBS)}")
        if not (verbs and (queues or topics) and all((*queues, *topics))):
            raise ConfigError(f"key {name!r} could do nothing; give it verbs and queues or topics")
        with self._changing() as keys:
            if any(key.name == name for key in keys):
                raise ConfigError(f"there is a key named {name!r} already; revoke it first")
            letters = string.ascii_uppercase + string.digits
            key = Key(
                "TF" + "".join(secrets.choice(letters) for _ in range(18)),
                secrets.token_urlsafe(30),
                name,
                now,
                tuple(queues),
                tuple(topics),
                tuple(verb for verb in VERBS if verb in verbs),
            )
            keys.append(key)
        return key

    def revoke(self, id_or_name: str) -> Key:
        """Take a key out of the file. Raises ConfigError when there is none."""
        with self._changing() as keys:
            found = [key for key in keys if id_or_name in (key.access_key_id, key.name)]
            if not found:
                known = ", ".join(key.name for key in keys) or "none"
                raise ConfigError(f"no key {id_or_name!r}; known: {known}")
            keys.remove(found[0])
        return found[0]

    def _current(self) -> dict[str, Key]:
        before, keys = self._seen
        try:
            stamp = _stamp(os.stat(self._name))  # noqa: PTH116 - two for each request: it is quicker
        except (FileNotFoundError, NotADirectoryError):
            if before is None:
                return keys
            raise ConfigError(f"{self.path} is gone; put it back, or start without keys") from None
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.strerror}") from error
        if stamp != before:
            self._seen = _read(self.path)
        return self._seen[1]

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        """The keys as a list to change; written at the end, one writer at a time.

        The folder is what is locked: the file is replaced by every change.
        """
        path = self.path.absolute()
        try:
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise ConfigError(f"{path.parent} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            keys = self.all()
            yield keys
            _write(path, folder, keys)
        finally:
            os.close(folder)
        self._current()


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    """Differs when the file was replaced, written, or given other rights."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(path: Path) -> tuple[tuple[int, ...], dict[str, Key]]:
    try:
        # Not blocking: a pipe in the file's place is refused below, not waited for.
        # And no link: who made it could have it point anywhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            _check_rights(path, found)
            keys = msgspec.json.decode(file.read(), type=_File).keys
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no keys file: {error}") from error
    by_id = {key.access_key_id: key for key in keys}
    if len(by_id) < len(keys) or len({key.name for key in keys}) < len(keys):
        raise ConfigError(f"{path}: two keys have the same id or name")
    return _stamp(found), by_id


def _check_rights(path: Path, found: os.stat_result) -> None:
    mode = found.st_mode
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{path} is no file")
    folder = path.absolute().parent.stat()
    if found.st_uid not in (0, os.geteuid(), folder.st_uid):
        raise ConfigError(
            f"{path} belongs to user {found.st_uid}, neither to you nor to the owner of its folder"
        )
    if folder.st_mode & 0o002 and not folder.st_mode & stat.S_ISVTX:
        raise ConfigError(f"{path.parent} may be written by everybody; keys there are nobody's")
    if mode & 0o077:
        raise ConfigError(
            f"{path} has mode {stat.S_IMODE(mode):04o}: it holds secrets and is open to others; "
            f"run: chmod 600 {shlex.quote(str(path))}"
        )


def _write(path: Path, folder: int, keys: list[Key]) -> None:
    """Replace the file as a whole, on disk before it has its name."""
    text = msgspec.json.format(msgspec.json.encode(_File(1, keys)), indent=2)
    try:
        descriptor, made = mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "wb") as file:
                _keep_owner(path, descriptor)
                file.write(text + b"\n")
                file.flush()
                os.fsync(descriptor)
            Path(made).replace(path)
        except BaseException:
            Path(made).unlink()
            raise
        os.fsync(folder)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _keep_owner(path: Path, descriptor: int) -> None:
    """What root changes must stay readable for the server, which may be somebody else."""
    with suppress(FileNotFoundError):
        before = path.stat()
        if before.st_uid != os.geteuid():
            os.fchown(descriptor, before.st_uid, before.st_gid)
