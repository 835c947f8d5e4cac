"""Keeps an append-only, hash-chained log of every order event."""
