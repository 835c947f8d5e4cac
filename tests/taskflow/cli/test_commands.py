"""The list of commands, which is shown without importing any of them."""

import copy
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from taskflow import cli


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_is_where_the_list_says(name: str) -> None:
    context = click.Context(cli.main)
    command = cli.main.get_command(context, name)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.get_short_help_str(), "its own help begins with a sentence"
    line = cli.COMMANDS[name][1]
    assert line.endswith(".")
    assert len(line) <= 66, "longer ones wrap on a terminal"


def test_no_command_is_missing_from_the_list() -> None:
    modules = {home for home, _ in cli.COMMANDS.values()}
    with_commands = {
        path.stem
        for path in Path(cli.__file__).parent.glob("*.py")
        if re.search(r"^@click\.(command|group)", path.read_text(), re.MULTILINE)
    }
    inner = {"moves", "letter_acts", "letter_causes", "debugging"} | {
        f"workflow_{name}" for name in ("list", "show", "changes", "check")
    }
    assert with_commands - {"__init__", *inner} == modules, "those are commands of dlq, workflow"


def test_a_project_may_add_commands_of_its_own() -> None:
    @click.command("mine")
    def mine() -> None:
        """Do what only this project does."""
        click.echo("done")

    group = copy.copy(cli.main)
    group.commands = {**cli.main.commands}
    group.add_command(mine)
    shown = CliRunner().invoke(group, ["--help"]).output
    assert re.search(r"mine +Do what only this project does\.", shown)
    assert re.search(r"worker +Run the handlers", shown)
    assert CliRunner().invoke(group, ["mine"]).output == "done\n"
