"""What workers say of themselves."""

from taskflow.testing.contract.coordination.reports import *
