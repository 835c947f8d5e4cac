"""`python -m taskflow.cli`."""

from taskflow.cli import main

main(prog_name="taskflow")
