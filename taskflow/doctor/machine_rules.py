"""Rules about this machine and AWS: the broker's file, the disk, variables, rights."""

from collections.abc import Iterator
from difflib import get_close_matches

from taskflow.config import KNOWN
from taskflow.doctor.facts import Facts, FileFacts
from taskflow.doctor.rule import Finding
from taskflow.doctor.rules import RULES
from taskflow.tasks.task_entry import TaskEntry

START = "TASKFLOW_"
OTHERS = 0o007
LONG_WAL = 128 * 2**20
LEAST_FREE = 256 * 2**20
NETWORK = (
    *("9p", "afs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"),
    *("glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"),
)


def check_machine(facts: Facts) -> Iterator[Finding]:
    """What this machine, its settings and AWS say."""
    if facts.broken is not None:
        yield RULES["TF401"].found("broker", facts.broken, "mend that, and ask again")
    for file in facts.files:
        yield from _file(file)
    if facts.scheme == "memory":
        yield RULES["TF409"].found(
            "broker", "memory:// is this process's own", "sqlite:///taskflow.db for several"
        )
    if facts.options.get("durability") == "process":
        yield RULES["TF410"].found(
            "broker",
            "durability=process: an accepted publish is on disk some seconds later",
            "leave durability= out where a lost event is a loss",
        )
    for name in facts.unread_variables:
        near = get_close_matches(name.removeprefix(START).lower(), KNOWN, 1)
        meant = f"{START}{near[0].upper()} is one" if near else f"{len(KNOWN)} others do"
        yield RULES["TF411"].found(
            f"variable {name}", f"no setting has this name; {meant}", "correct it, or unset it"
        )
    if facts.aws:
        yield from _aws(facts)


def _file(file: FileFacts) -> Iterator[Finding]:
    if file.filesystem in NETWORK:
        yield RULES["TF402"].found(
            file.path,
            f"its file system is {file.filesystem}",
            "a disk of this machine, or postgresql:// for several hosts",
        )
    if file.mode is not None and file.mode & OTHERS:
        yield RULES["TF403"].found(
            file.path,
            f"its mode is {file.mode:04o}",
            f"chmod o= {file.path}; who shares it gets a group",
        )
    if file.exists and not file.writable:
        yield RULES["TF404"].found(
            file.path, "this user may not write the file", "run as its owner, or share it by group"
        )
    elif not file.folder_writable:
        yield RULES["TF404"].found(
            file.path, "this user may not write its folder", "run as the owner of the folder"
        )
    if file.journal_bytes:
        yield RULES["TF405"].found(
            file.path,
            f"{file.path}-journal has {file.journal_bytes} bytes",
            "let no other program write the file; `taskflow backup` copies it",
        )
    if file.exists and (file.wal_bytes or 0) > LONG_WAL:
        yield RULES["TF406"].found(
            file.path,
            f"{file.path}-wal has {(file.wal_bytes or 0) // 2**20} MiB",
            "end the program that reads it for so long (`fuser` names it)",
        )
    if not file.exists and file.wal_bytes:
        yield RULES["TF407"].found(
            file.path,
            f"{file.path}-wal has {file.wal_bytes} bytes, and the file is not there",
            "put the file back beside it, or remove the WAL",
        )
    if file.disk_free < max(LEAST_FREE, file.disk_total // 100):
        yield RULES["TF408"].found(
            file.path,
            f"{file.disk_free // 2**20} MiB of {file.disk_total // 2**20} are free",
            "make room",
        )


def _aws(facts: Facts) -> Iterator[Finding]:
    for what in facts.untold:
        yield RULES["TF503"].found("broker", what, "allow it, or run this with other credentials")
    for resource, actions in (facts.denied or {}).items():
        yield RULES["TF501"].found(
            resource,
            f"not allowed: {', '.join(actions)}",
            "`taskflow topology export -f iam-policy` writes the policy that allows it",
        )
    if facts.denied is None:
        yield RULES["TF502"].found(
            "rights", facts.unsimulated, "allow iam:SimulatePrincipalPolicy to whoever runs this"
        )
    registry = facts.registry
    entries = [one for queue in registry.queues() for one in registry.on(queue)]
    if "idempotency" not in facts.options and any(one.window or one.rate for one in entries):
        yield RULES["TF504"].found(
            "broker",
            f"{sum(bool(one.window) for one in entries)} handlers are idempotent, "
            f"{sum(bool(one.rate) for one in entries)} have a rate, and no idempotency= is set",
            "aws://REGION?idempotency=dynamodb://TABLE",
        )
    kept = [one for one in entries if isinstance(one, TaskEntry) and (one.keep or one.durable)]
    if "state" not in facts.options and (kept or facts.schedules):
        yield RULES["TF505"].found(
            "broker",
            f"{len(kept)} tasks keep results, and no state= is set",
            "aws://REGION?state=dynamodb://TABLE",
        )
