"""`taskflow doctor`: what will go wrong, and what to do about it."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import click
import msgspec

from taskflow.cli.modules import load_registry
from taskflow.cli.options import broker_option, module_option, opened, table
from taskflow.config import address_of
from taskflow.doctor.broker_files import files_of, look_at_file, unread_variables
from taskflow.doctor.examining import examine
from taskflow.doctor.facts import Facts
from taskflow.doctor.looking import look
from taskflow.doctor.rule import SEVERITIES, Finding, Severity
from taskflow.doctor.rules import RULES
from taskflow.errors import BrokerUnavailable, ConfigError
from taskflow.registry import Registry
from taskflow.text import printable, without_secrets


@click.command()
@module_option
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="TF101",
    help="Leave this number out, or with a colon for one thing; may be repeated.",
)
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    default="warning",
    help="Exit with 1 for what is as bad as this, or worse. Default: warning.",
)
@click.option("--no-broker", is_flag=True, help="Look at the code and this machine alone.")
@click.option("--rules", is_flag=True, help="List what is looked for, by number.")
@broker_option
@click.pass_context
def doctor(
    ctx: click.Context,
    modules: tuple[str, ...],
    as_json: bool,
    ignored: tuple[str, ...],
    fail_on: Severity,
    no_broker: bool,
    rules: bool,
    address: str | None,
) -> None:
    """Say what will go wrong: what the handlers, the broker and this machine say, compared.

    Nothing is changed, and no message is received. Exit codes: 0 when nothing was found that is as
    bad as --fail-on, else 1.

    \b
    Example:
      taskflow doctor --module shop.handlers
      taskflow doctor --ignore TF104 --ignore 'TF305:queue audit-dlq' --json
    """
    if rules:
        _list_rules(as_json)
        return
    registry = load_registry(modules)
    if not registry.queues():
        click.echo("no handlers were loaded: name their modules by --module", err=True)
    facts = _facts(registry, address, no_broker)
    found = examine(facts, ignored)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        for one in found:
            click.echo(printable(str(one), lines=True))
        click.echo(_summary(facts, found))
    worst = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    ctx.exit(1 if any(one.severity in worst for one in found) else 0)


def _facts(registry: Registry, address: str | None, no_broker: bool) -> Facts:
    try:
        parts = urlsplit(address_of(address))
    except ValueError:  # its text quotes the address
        shown = without_secrets(address_of(address))
        raise ConfigError(f"broker address {shown!r}: its host cannot be read") from None
    options = dict(parse_qsl(parts.query))
    facts = Facts(registry=registry, scheme=parts.scheme, options=options, looked=False)
    if not no_broker and parts.scheme != "memory":  # which this process would make, and is empty
        try:
            with opened(address) as broker:
                facts = look(broker, registry, parts.scheme, options, parts.netloc)
        except BrokerUnavailable as error:
            facts = msgspec.structs.replace(facts, broken=str(error))
    files = files_of(Path(unquote(parts.path)[1:])) if parts.scheme == "sqlite" else ()
    return msgspec.structs.replace(
        facts, files=[*map(look_at_file, files)], unread_variables=unread_variables(os.environ)
    )


def _summary(facts: Facts, found: Sequence[Finding]) -> str:
    there = f"{len(facts.queues)} in the broker" if facts.looked else "no broker"
    ours = _counted(len(facts.registry.queues()), "queue")
    looked = f"{len(RULES)} rules, {ours} of handlers, {there}"
    counts = Counter(one.severity for one in found)
    said = ", ".join(_counted(counts[one], one) for one in SEVERITIES if counts[one])
    return f"{said or 'nothing found'} ({looked})"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _list_rules(as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(list(RULES.values())))
        return
    rows = [[rule.number, rule.severity, rule.title] for rule in RULES.values()]
    click.echo(table(("NUMBER", "SEVERITY", "WHAT"), rows))
