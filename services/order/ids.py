"""Makes the ids of the order service."""

import secrets


def new_id(prefix: str) -> str:
    """`prefix_` and 96 random bits: cannot be guessed, does not collide."""
    return f"{prefix}_{secrets.token_hex(12)}"
