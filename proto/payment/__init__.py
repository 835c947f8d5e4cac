"""The payment contract."""
