"""A PostgreSQL server that can be made to crash, in the place of a disk that can be made full."""

from tests.chaos.traces import CRASH
from tests.postgres_server import PostgresServer


class Server:
    """Where the broker is; what is `fill` of a disk is the server's death here, and `free` that it
    comes back."""

    how = CRASH

    def __init__(self) -> None:
        self._server = PostgresServer(fsync="on")
        self.address = self._server.address()

    def fill(self) -> None:
        """It is killed, and answers nobody."""
        self._server.stop()

    def free(self) -> None:
        """It is there again."""
        self._server.start()

    def close(self) -> None:
        """It goes, with all it had."""
        self._server.close()
