"""Django is configured once a process, whichever test comes first."""

import django
from django.conf import settings


def configure() -> None:
    """With one database in memory, which a test may point elsewhere."""
    if not settings.configured:
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            USE_TZ=True,
        )
        django.setup()
