"""Differs: where a broker cannot keep to the contract, and says so."""

from typing import NamedTuple


class Differs(NamedTuple):
    """Why a test must fail over this broker. With `run=False` it is not run, since it would
    never end."""

    why: str
    run: bool = True
