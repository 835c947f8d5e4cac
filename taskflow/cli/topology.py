"""`taskflow topology`: what subscribes to what."""

import click

from taskflow.cli.options import broker_option, load_registry, module_option, opened
from taskflow.limits import dlq_of
from taskflow.registry import Registry
from taskflow.topology import declare, settings_for


@click.group(invoke_without_command=True)
@module_option
@click.pass_context
def topology(ctx: click.Context, modules: tuple[str, ...]) -> None:
    """Show what subscribes to what, as the handlers say. No broker is touched.

    \b
    Example:
      taskflow topology --module shop.handlers
    """
    ctx.obj = load_registry(modules)
    if ctx.invoked_subcommand is None:
        click.echo(tree(ctx.obj) or "no subscriptions were loaded")


@topology.command()
@module_option
@broker_option
@click.pass_obj
def apply(registry: Registry, modules: tuple[str, ...], address: str | None) -> None:
    """Create what is missing in the broker, and change queues that disagree.

    \b
    Example:
      taskflow topology apply --module shop.handlers
    """
    if modules:
        load_registry(modules)
    with opened(address, create=True) as broker:
        declare(broker, registry, apply=True)
    click.echo(tree(registry))


def tree(registry: Registry) -> str:
    """Topics, their queues, the handler of each, and its retries."""
    lines = []
    for topic in registry.topics():
        lines.append(topic)
        found = sorted((one for one in registry if one.topic == topic), key=lambda one: one.queue)
        for one in found:
            last = one is found[-1]
            lines.append(f"{'└' if last else '├'}── {one.queue}  →  {one.name}")
            settings = settings_for(registry, one.queue)
            lines.append(
                f"{' ' if last else '│'}   └── {dlq_of(one.queue)}  after "
                f"{one.policy.retries} retries (crashes: {settings.max_receives} receives)"
            )
    return "\n".join(lines)
