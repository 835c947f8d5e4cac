"""Tasks: functions called through their queue, their runs and results."""
