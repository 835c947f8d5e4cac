"""Priorities: the higher comes first, and none waits for ever."""

from taskflow.testing.contract.traffic.priorities import *
