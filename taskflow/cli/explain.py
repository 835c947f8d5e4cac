"""`taskflow explain`: what a topic, queue or task comes to; where an id is, and what comes."""

import click
import msgspec

from taskflow.broker import Broker
from taskflow.cli.modules import load_registry
from taskflow.cli.options import broker_option, check_text, module_option, opened
from taskflow.errors import BrokerUnavailable
from taskflow.explaining.naming import Naming
from taskflow.explaining.shown import Shown
from taskflow.explaining.telling import tell, tell_sighting
from taskflow.explaining.whereabouts import Sighting, Whereabouts
from taskflow.registry import Registry
from taskflow.text import printable

Found = list[Shown | Sighting]


@click.command()
@click.argument("name")
@module_option
@click.option("--id", "by_id", is_flag=True, help="NAME is an id, whatever else is called so.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects.")
@click.option("--no-broker", is_flag=True, help="By the code alone.")
@broker_option
@click.pass_context
def explain(
    ctx: click.Context,
    name: str,
    modules: tuple[str, ...],
    by_id: bool,
    as_json: bool,
    no_broker: bool,
    address: str | None,
) -> None:
    """Say what NAME comes to: a topic, a queue, a task, or the id of a message, run or schedule.

    Of a name: filters, queues, handlers, when the last attempt is, what a crash does, dead letters,
    and what a million cost on AWS. Of an id: where it is, what happened to it, what happens next.
    Exit code 1 when nothing is called so.

    \b
    Example:
      taskflow explain order.created --module shop.handlers
      taskflow explain 01a3185c-5000-7c20-a29f-6fbed82c07cd
    """
    check_text(name, "name")
    registry = load_registry(modules)
    found: Found
    if no_broker:
        found = _explain(registry, None, name, by_id)
    else:
        try:
            with opened(address) as broker:
                found = _explain(registry, broker, name, by_id)
        except BrokerUnavailable as error:
            found = [] if by_id else _explain(registry, None, name, by_id)
            if not found:
                raise
            click.echo(f"by the code alone: {error}", err=True)
    if as_json:
        click.echo(msgspec.json.encode(found))
    for one in () if as_json else found:
        for line in tell_sighting(one) if isinstance(one, Sighting) else tell(one):
            click.echo(printable(line))
    if not found:
        click.echo(f"nothing is called {name!r}: no topic, queue or task, and no id", err=True)
        ctx.exit(1)


def _explain(registry: Registry, broker: Broker | None, name: str, by_id: bool) -> Found:
    """By name; by id where no name is so, or it is said to be one."""
    named = () if by_id else Naming(registry, broker).explain(name)
    if named or broker is None:
        return [*named]
    return [*Whereabouts(registry, broker).find(name)]
