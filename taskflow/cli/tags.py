"""`taskflow tags`: the tags of a queue or topic."""

import json

import click

from taskflow.cli.options import (
    Kind,
    broker_option,
    check_text,
    kind_of,
    kind_options,
    opened,
    read_pairs,
    table,
)

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_TagQueue.html
LONGEST_KEY, LONGEST_VALUE = 128, 256


@click.command()
@click.argument("name")
@click.argument("tags", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--remove", metavar="KEY", multiple=True, help="Remove this tag; may be repeated.")
@kind_options
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@broker_option
def tags(
    name: str,
    tags: tuple[str, ...],
    remove: tuple[str, ...],
    kind: Kind | None,
    as_json: bool,
    address: str | None,
) -> None:
    """Show the tags of the queue or topic NAME; set some and remove others first, if given.

    \b
    Example:
      taskflow tags audit team=billing stage=live --remove owner
    """
    wanted = _read(tags)
    changes = wanted | dict.fromkeys(check_text(key, "tag") for key in remove)
    if twice := sorted({*remove} & {*wanted}):
        raise click.UsageError(f"the tag {twice[0]!r} is to be set and removed")
    with opened(address) as broker:
        kind = kind or kind_of(broker, name)
        queue = kind == "queue"
        if changes:
            (broker.tag_queue if queue else broker.tag_topic)(name, changes)
        about = broker.describe_queue(name) if queue else broker.describe_topic(name)
    found = dict(sorted(about.tags.items()))
    if as_json:
        click.echo(json.dumps(found))
        return
    lines = [[key, value] for key, value in found.items()]
    click.echo(table(("KEY", "VALUE"), lines) if lines else f"no tags on {kind} {name}")


def _read(words: tuple[str, ...]) -> dict[str, str | None]:
    tags: dict[str, str | None] = {}
    for key, value in read_pairs(words, "tag").items():
        tags[key] = value
        if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise click.UsageError(
                f"the tag {key[:LONGEST_KEY]!r} is too long: {LONGEST_KEY} characters for a key, "
                f"{LONGEST_VALUE} for a value"
            )
    return tags
