"""Publish, receive, delete: fan-out, visibility, receipts, delay, retention."""

from taskflow.testing.contract.traffic.delivery import *
