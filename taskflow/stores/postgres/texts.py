"""SQL as it is sent: with the name of the schema in it."""

from psycopg import sql


class Texts(dict[str, str]):
    """By the text in which `tf.` stands for the schema, so that none is made twice."""

    def __init__(self, schema: str) -> None:
        super().__init__()
        self._schema = sql.Identifier(schema).as_string() + "."

    def __missing__(self, text: str) -> str:
        made = self[text] = text.replace("tf.", self._schema)
        return made
