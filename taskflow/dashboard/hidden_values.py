"""The values that a payload hides, taken out of the texts that quote them."""

from collections.abc import Iterable

SHORTEST = 4  # characters of a value that is looked for
FEW = 50  # values for each of which a text is looked through
MOST_LENGTHS = 16  # of values that begin alike
MARK = "…hidden…"


class HiddenValues:
    """Texts that are not to be shown. Anybody may send a payload that hides a hundred thousand: of
    many a text is looked through once, by how they begin."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._all = {value for value in values if len(value) >= SHORTEST}
        self._alike: dict[str, set[str]] = {}
        if len(self._all) > FEW:
            for value in self._all:
                self._alike.setdefault(value[:SHORTEST], set()).add(value)
        self._lengths: dict[str, list[int]] = {}

    def taken_out(self, text: str) -> str:
        """A text with a mark where one of them stood."""
        if not self._alike:
            for value in sorted(self._all, key=len, reverse=True):
                text = text.replace(value, MARK)
            return text
        shown: list[str] = []
        end = 0  # of what is shown or hidden already
        for at in range(len(text) - SHORTEST + 1):
            if (length := self._length(text, at)) and at + length > end:
                if at >= end:
                    shown += (text[end:at], MARK)
                end = at + length
        return "".join([*shown, text[end:]])

    def _length(self, text: str, at: int) -> int:
        """How much is hidden from here on. Where values of many lengths begin alike it is as much
        as the longest has."""
        begin = text[at : at + SHORTEST]
        values = self._alike.get(begin)
        if values is None:
            return 0
        lengths = self._lengths.get(begin)
        if lengths is None:
            lengths = self._lengths[begin] = sorted(set(map(len, values)), reverse=True)
        if len(lengths) > MOST_LENGTHS:
            return lengths[0]
        return next((one for one in lengths if text[at : at + one] in values), 0)


NOTHING_HIDDEN = HiddenValues()
"""Of a payload that hides nothing, or of none."""
