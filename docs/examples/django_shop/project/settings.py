"""Settings of the example: a file as the database, mail on standard output."""

from pathlib import Path

SECRET_KEY = "of the example alone"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "project.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(__file__).parents[1] / "shop.db",
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
USE_TZ = True
TASKS = {
    "default": {
        "BACKEND": "taskflow.contrib.django.TaskflowBackend",
        "QUEUES": ["default", "mails"],
        "OPTIONS": {"result": "1d"},
    }
}
