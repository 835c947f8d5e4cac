"""How an attempt at a run ends from within."""


class Interrupted(BaseException):
    """The attempt is over: its lease is lost, the run is not wanted any more, or a step cannot be
    kept. Nothing that the function does from here on counts. No Exception, as `Leaving` is none."""
