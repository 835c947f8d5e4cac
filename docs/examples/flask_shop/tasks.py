"""What is done after a request."""

from flask import current_app

from taskflow import task


@task(queue="thumbnails", result="1h", retries=3)
def make_thumbnail(picture: str, width: int = 100) -> str:
    """The address of a smaller picture."""
    return f"{current_app.config['PICTURES']}/{width}/{picture}"
