"""Messages whose last holder ended without a word: lent alone, last, and before others starve."""

from taskflow.testing.contract.traffic.suspects import *
