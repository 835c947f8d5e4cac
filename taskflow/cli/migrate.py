"""`taskflow migrate`: the tables of a broker at postgresql://, brought up to date."""

import click

from taskflow.brokers import open_migrator
from taskflow.cli.options import broker_option
from taskflow.config import address_of


@click.command()
@broker_option
@click.option("--sql", "as_sql", is_flag=True, help="Print what would be run, and run nothing.")
@click.option("--check", is_flag=True, help="Run nothing; exit with 1 if something is pending.")
@click.option("--force", is_flag=True, help="Also while workers of an older release report.")
@click.pass_context
def migrate(
    ctx: click.Context, address: str | None, as_sql: bool, check: bool, force: bool
) -> None:
    """Bring the tables of a broker at postgresql:// up to date.

    A release whose tables are others refuses to work before. Stop the workers first: those of the
    older release know the tables as they were. An empty schema is set up, by `taskflow topology
    apply` too, and nothing but this command ever changes one that is there. Indexes are built
    while others write; what was cut short goes on where it was.

    With --sql, for people who run it themselves: psql -v ON_ERROR_STOP=1.

    \b
    Example:
      taskflow migrate --broker postgresql://owner@db/shop --check
      taskflow migrate --broker postgresql://owner@db/shop
    """
    with open_migrator(address_of(address)) as migrator:
        if as_sql:
            click.echo(migrator.script())
            return
        steps = migrator.pending() if check else migrator.migrate(force)
        for one in steps:
            click.echo(f"{'pending' if check else 'applied'}  {one.number}  {one.title}")
        if check and steps:
            ctx.exit(1)
        if not steps:
            click.echo(f"{migrator.shown} is up to date: version {migrator.newest}")
