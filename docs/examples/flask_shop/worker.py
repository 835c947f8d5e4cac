"""What a worker imports first: each task runs inside the application, as a request does."""

from shop import create_app

from taskflow import Context, use
from taskflow.middleware import Run
from taskflow.retry import Outcome

app = create_app()


@use
def in_the_application(context: Context, run: Run) -> Outcome:
    """Lets tasks use `current_app`, and what extensions keep there."""
    with app.app_context():
        return run(context)
