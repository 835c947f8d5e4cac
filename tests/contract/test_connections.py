"""Within a transaction of the caller's: there when that commits, gone with it, by all the rules."""

from taskflow.testing.contract.traffic.connections import *
