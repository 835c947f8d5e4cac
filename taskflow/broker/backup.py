"""What a broker may do beside its protocol: copy all it holds into a file."""

from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class Backup(Protocol):
    """A broker that lies in files of this machine."""

    def back_up(self, to: Path) -> None:
        """Write all that is committed at one moment into a new file, and return when it is on disk;
        it is there whole or not at all. Nobody has to wait for it, who sends, receives or settles.

        Raises BrokerFileError when the file exists or cannot be written, ConfigError for a broker
        in memory.
        """
        ...
