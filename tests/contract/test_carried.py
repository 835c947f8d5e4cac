"""What a message carries for tasks: it arrives on every broker, by every way."""

from taskflow.testing.contract.traffic.carried import *
