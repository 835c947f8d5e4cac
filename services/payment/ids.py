"""Makes payment ids."""

import secrets


def new_payment_id() -> str:
    """`pay_` and 96 random bits: cannot be guessed, does not collide."""
    return f"pay_{secrets.token_hex(12)}"
