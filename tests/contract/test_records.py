"""Records: listed by page and filter, counted, and waited for."""

from taskflow.testing.contract.runs.records import *
