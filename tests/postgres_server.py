"""A private PostgreSQL server, one for a test session: in a folder of its own, on no network.

`python -m tests.postgres_server COMMAND…` runs a command beside one, whose address is in
POSTGRES_SERVER.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "max_connections": "80",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "10s",
    "log_min_messages": "fatal",
}


class PostgresServer:
    """Started by `initdb` and `postgres` of the path, or of Debian's package. As root, it runs as
    the user `postgres`, or `nobody`: the server refuses to be root's. One that `follows` another is
    its standby: a copy of it that goes on being one."""

    def __init__(self, follows: "PostgresServer | None" = None, **settings: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="taskflow-pg-"))
        self._user = _unprivileged()
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self._data = self._folder / "data"
        if follows is None:
            self._call(
                *("initdb", "-D", self._data, "-U", "taskflow", "-A", "trust"),
                *("-E", "UTF8", "--locale=C", "-N"),
            )
        else:
            self._call(
                *("pg_basebackup", "-D", self._data, "-U", "taskflow", "-h", follows.host),
                *("-R", "-X", "stream", "-c", "fast", "-N"),
            )
        with (self._data / "postgresql.conf").open("a") as file:
            for name, value in {
                **SETTINGS,
                **settings,
                "unix_socket_directories": self._folder,
            }.items():
                file.write(f"{name} = '{value}'\n")
        self.start()

    @property
    def host(self) -> str:
        """The folder of its socket."""
        return str(self._folder)

    def address(self, **options: str) -> str:
        """The broker's address, with options."""
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"postgresql://taskflow@/postgres?host={self._folder}{more}"

    def pid(self) -> int:
        """The number of the process that all others of the server are children of."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def empty(self) -> None:
        """Remove all that was stored, and every schema but the usual one; the tables stay."""
        with psycopg.connect(self.address(), autocommit=True) as connection:
            found = connection.execute(
                """SELECT n.nspname, c.relname FROM pg_namespace n LEFT JOIN pg_class c
                       ON c.relnamespace = n.oid AND c.relkind = 'r'
                   WHERE NOT starts_with(n.nspname, 'pg_') AND n.nspname <> ALL (%s)""",
                (["public", "information_schema"],),
            ).fetchall()
            # Few rows: to delete them is quicker than to make new files.
            texts = [
                f"DELETE FROM taskflow.{table}"
                for schema, table in found
                if schema == "taskflow" and table not in ("version", "declared")
            ]
            texts += [
                f'DROP SCHEMA "{schema}" CASCADE'
                for schema in sorted({schema for schema, _ in found} - {"taskflow"})
            ]
            if texts:
                connection.execute("; ".join(texts).encode())

    def count_rows(self) -> dict[str, int]:
        """How many rows each table of the broker has."""
        with psycopg.connect(self.address()) as connection:
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'taskflow'"
            )
            counted = {}
            for (name,) in tables.fetchall():
                text = sql.SQL("SELECT count(*) FROM taskflow.{}").format(sql.Identifier(name))
                counted[name] = connection.execute(text).fetchall()[0][0]
        return counted

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._call(
            "pg_ctl", "-D", self._data, "-w", "-t", "60", "-s", "-l", self._folder / "log", "start"
        )

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `smart`, `fast`, or `immediate` as a crash."""
        self._call("pg_ctl", "-D", self._data, "-w", "-s", "-m", mode, "stop")

    def kill(self) -> None:
        """SIGKILL to each process of it, at once."""
        leader = self.pid()
        children = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
        for process in (leader, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        note = self._data / "postmaster.pid"
        _, memory = note.read_text().splitlines()[6].split()  # which nobody else gives back
        subprocess.run(["ipcrm", "--shmem-id", memory], stderr=subprocess.DEVNULL, check=False)
        note.unlink()

    def promote(self) -> None:
        """Let a standby take writes."""
        self._call("pg_ctl", "-D", self._data, "-w", "-t", "60", "-s", "promote")

    def set(self, name: str, value: str) -> None:
        """Change a setting, while it runs."""
        with psycopg.connect(self.address(), autocommit=True) as connection:
            text = sql.SQL("ALTER SYSTEM SET {} = {}")
            connection.execute(text.format(sql.Identifier(name), sql.Literal(value)))
            connection.execute("SELECT pg_reload_conf()")

    def close(self) -> None:
        """Stop it, if it runs, and remove its folder."""
        try:
            if (self._data / "postmaster.pid").exists():
                self.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _call(self, program: str, *arguments: object) -> None:
        found = find(program)
        assert found is not None, MISSING
        done = subprocess.run(
            [found, *map(str, arguments)],
            user=self._user,
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stdout.decode()}"


def main() -> int:
    """Run a command beside a server; answers its exit code."""
    if find("postgres") is None:
        print(MISSING, file=sys.stderr)
        return 1
    server = PostgresServer()
    try:
        return subprocess.call(
            sys.argv[1:], env={**os.environ, "POSTGRES_SERVER": server.address()}
        )
    finally:
        server.close()


MISSING = "no PostgreSQL server on this machine: apt-get install postgresql"


def find(program: str) -> str | None:
    """Where a program of the server is: of the path, or the newest of Debian's packages."""
    if (found := shutil.which(program)) is not None:
        return found
    packaged = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda one: int(one.parts[4])
    )
    return str(packaged[-1]) if packaged else None


def _unprivileged() -> str | None:
    if os.getuid():
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


if __name__ == "__main__":
    sys.exit(main())
