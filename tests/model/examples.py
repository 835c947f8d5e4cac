"""How many random cases of a model are tried."""

import os

TIMES = int(os.environ.get("TASKFLOW_EXAMPLES", "1"))
"""`make models` sets it: as many times as many."""
