"""Version 1 of the payment contract."""
