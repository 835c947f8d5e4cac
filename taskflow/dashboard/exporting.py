"""The rows of a page as a file: `as=csv`, `as=jsonl`."""

import csv
import io
import json
from collections.abc import Iterable, Mapping

from taskflow.dashboard.answer import Answer, Refused, file_answer
from taskflow.dashboard.asked import Asked

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export(asked: Asked, name: str, rows: Iterable[Mapping[str, object]]) -> Answer | None:
    """The rows as the file that `as` asks for; None when it asks for none, and none is made then.
    Raises Refused."""
    kind = asked.one("as")
    if kind in ("", "table"):
        return None
    if kind not in ("csv", "jsonl"):
        raise Refused(400, f"There is no as={kind}.", ("It is csv, jsonl or table.",))
    head = ("content-disposition", f'attachment; filename="{name}.{kind}"')
    if kind == "jsonl":
        # Not msgspec: half a surrogate pair, which JSON can hold, would keep all rows back.
        body = "".join(json.dumps(row) + "\n" for row in rows).encode()
        return file_answer("application/jsonl; charset=utf-8", body, head)
    text = io.StringIO()
    writer = csv.writer(text)
    for at, row in enumerate(rows):
        if at == 0:
            writer.writerow(row)
        writer.writerow([_cell(value) for value in row.values()])
    return file_answer("text/csv; charset=utf-8", text.getvalue().encode("utf-8", "replace"), head)


def _cell(value: object) -> object:
    """A text that a table program would run as a formula is kept from being one."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return "" if value is None else value
