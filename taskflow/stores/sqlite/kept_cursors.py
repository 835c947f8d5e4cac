"""The cursors by which a connection is asked again and again: making one costs more than a use."""

import gc

import apsw


class KeptCursors:
    """Of one connection: all that are made within a `with` of it.

    What was asked is over when its last row was fetched. Who was interrupted before that has left
    it open: until the cursor is used again the connection sees the file as it was then, and may
    not write once others have.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._made: list[apsw.Cursor] = []

    def __enter__(self) -> None:
        self._connection.cursor_factory = self._make

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._connection.cursor_factory = apsw.Cursor

    def _make(self, connection: apsw.Connection) -> apsw.Cursor:
        made = apsw.Cursor(connection)
        self._made.append(made)
        return made

    def reset(self) -> None:
        """Whatever was asked is over."""
        for cursor in self._made:
            cursor.execute("")
        if self._connection.txn_state():  # another one, which a traceback holds that somebody keeps
            for one in gc.get_objects():
                if type(one) is apsw.Cursor and self._has(one):
                    one.execute("")

    def _has(self, cursor: apsw.Cursor) -> bool:
        try:
            return cursor.connection is self._connection
        except apsw.CursorClosedError:
            return False
