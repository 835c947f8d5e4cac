"""What a client did, one printed line for each step, and how often an answer was not as on AWS."""

from collections.abc import Callable
from typing import Any


class Steps:
    """The steps of one client. `say` gets each line; `print` by default."""

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self._say = say or (lambda line: print(line, flush=True))
        self.done = 0
        self.differences: list[str] = []

    def versions(self, text: str) -> None:
        """Say what is driven, for the table."""
        self._say(f"versions {text}")

    def same(self, step: str, found: object, wanted: object) -> None:
        """A step whose answer is known."""
        self.done += 1
        if found == wanted:
            self._say(f"ok {step}")
        else:
            self.differences.append(f"{step}: {_short(found)} is not {_short(wanted)}")
            self._say(f"DIFFERS {self.differences[-1]}")

    def refused(self, step: str, code: str, call: Callable[..., Any], **params: Any) -> None:
        """A step that the server must refuse with that error code."""
        self.same(step, _code_of(call, params), code)

    def end(self) -> int:
        """Say how it went; answers the exit code."""
        self._say(f"{self.done} steps, {len(self.differences)} differ")
        return 1 if self.differences or not self.done else 0


def _code_of(call: Callable[..., Any], params: dict[str, Any]) -> str:
    """The code of the error that a call raised. Errors without one are raised on."""
    try:
        answer = call(**params)
    except Exception as error:
        response = getattr(error, "response", None)
        if not isinstance(response, dict):
            raise
        return str(response["Error"]["Code"])
    return f"no error, but {answer}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 500 else f"{text[:500]}..."
