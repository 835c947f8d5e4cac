"""Slots: how many of a kind are held at once, and how fast they start."""

from taskflow.testing.contract.traffic.slots import *
