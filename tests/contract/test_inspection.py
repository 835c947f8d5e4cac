"""Finding messages wherever they lie, dead letters by cause, and single letters that are mended."""

from taskflow.testing.contract.admin.inspection import *
