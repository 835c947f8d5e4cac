"""`python -m taskflow` is the command `taskflow`."""

from taskflow.cli import main

main(prog_name="taskflow")
