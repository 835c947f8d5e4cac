"""What a message carries beside its body, and how large it may be."""

from taskflow.testing.contract.traffic.attributes import *
