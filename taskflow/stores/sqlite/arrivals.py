"""Messages that were just published, before they lie where messages lie."""

import apsw

_ANY = "SELECT 1 FROM arrival LIMIT 1"
_TAKE_OVER = "DELETE FROM arrival"  # a trigger of the file makes messages of them


class Arrivals:
    """What plain publishes have added to one file: a row in one table, where a message has a row in
    two and two indexes. All that looks at messages takes them over first, so nobody sees them."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.cursor().execute

    def any(self) -> bool:
        """Whether there are any."""
        return self._execute(_ANY).get is not None

    def take_over(self) -> None:
        """Make them messages, within the caller's transaction. One whose id its queue has already
        is gone, as any other second one of an id."""
        self._execute(_TAKE_OVER)
