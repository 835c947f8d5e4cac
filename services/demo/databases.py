"""The databases of the demo at a PostgreSQL server."""

from collections.abc import Sequence

from sqlalchemy import create_engine, make_url


def make_databases(server: str, names: Sequence[str]) -> dict[str, str]:
    """Make a database for each service; answers where they are, and the broker, which lies in that
    of the orders. Raises SQLAlchemyError when one is there already."""
    url = make_url(server).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in names:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    engine.dispose()

    def address(name: str, scheme: str = "postgresql+psycopg") -> str:
        return url.set(drivername=scheme, database=name).render_as_string(hide_password=False)

    places = {f"{name.upper()}_DATABASE": address(name) for name in names}
    return {"TASKFLOW_BROKER": address("order", "postgresql"), "ORDER_JOINED": "on", **places}
