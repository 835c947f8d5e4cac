"""A handler's error as its author wants to see it: from the handler's frames on."""

from pathlib import Path
from types import TracebackType

import taskflow

_OURS = str(Path(taskflow.__file__).parent)


def own_frames(error: BaseException) -> TracebackType | None:
    """The traceback of an error without what called the handler; all of it, if there is nothing
    else."""
    found = error.__traceback__
    while found is not None and found.tb_frame.f_code.co_filename.startswith(_OURS):
        found = found.tb_next
    return found or error.__traceback__
