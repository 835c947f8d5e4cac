"""Waiting: woken by a send, by time, and by `stop`; never by polling."""

from taskflow.testing.contract.traffic.long_poll import *
