"""Hearing other processes only while somebody waits for what they may say."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Attention(Protocol):
    """What a broker can do beside `Traffic.watch`, where each ring of another process costs this
    one a wake-up."""

    def attend(self) -> None:
        """Hear other processes from now on, if `look_away` was called. What they rang before was
        heard by nobody: look into what is waited for once more. Idempotent."""
        ...

    def look_away(self) -> None:
        """Hear no other processes until `attend`, unless a receive waits here; what this process
        does itself is heard all the same. Idempotent."""
        ...
