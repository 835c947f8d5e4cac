"""What ends the turn of one who waits."""


class TurnOver(Exception):
    """It has not ended; others wait for the thread. It is to be asked again."""
