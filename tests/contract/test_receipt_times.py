"""Receipts: text that says when it was given to the broker that made it, and to nobody else."""

from taskflow.testing.contract.traffic.receipt_times import *
