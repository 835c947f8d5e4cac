"""SQL as it is sent: with the name of the schema in it."""

import re

from psycopg import sql

_PLACE = re.compile(r"'?tf\.")


class Texts(dict[str, str]):
    """By the text in which `tf.` stands for the schema, so that none is made twice."""

    def __init__(self, schema: str) -> None:
        super().__init__()
        self._schema = sql.Identifier(schema).as_string() + "."
        self._quoted = "'" + self._schema.replace("'", "''")

    def __missing__(self, text: str) -> str:
        made = self[text] = _PLACE.sub(self._name, text)
        return made

    def _name(self, found: re.Match[str]) -> str:
        """Within a string, as such."""
        return self._quoted if found[0].startswith("'") else self._schema
