"""Django's tasks, run by taskflow: `"BACKEND": "taskflow.contrib.django.TaskflowBackend"` in the
setting TASKS. Of Django 6.0 and newer; before that, of the package django-tasks."""

from taskflow.contrib.django.task_backend import TaskflowBackend

__all__ = ["TaskflowBackend"]
