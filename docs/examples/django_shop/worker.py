"""What a worker imports first: it starts Django, and looks after database connections."""

import os

import django
from django.db import close_old_connections

from taskflow import Context, use
from taskflow.middleware import Run
from taskflow.retry import Outcome

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()


@use
def with_fresh_connections(context: Context, run: Run) -> Outcome:
    """A connection that is too old, or that the database has closed, is not used again: what the
    start and the end of a request do in a web process."""
    close_old_connections()
    try:
        return run(context)
    finally:
        close_old_connections()
