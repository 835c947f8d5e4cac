"""Schedules: tasks and events that are due by the clock, each tick fired once."""
