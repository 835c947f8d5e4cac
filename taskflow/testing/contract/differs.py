"""Differs: where a broker cannot keep to the contract, and says so."""

from typing import NamedTuple


class Differs(NamedTuple):
    """Why a test must fail over this broker. With `run=False` it is not run, since it would
    never end; with `always=False` it may pass, by chance."""

    why: str
    run: bool = True
    always: bool = True
