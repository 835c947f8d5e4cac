"""The demo: the whole system as separate processes, and what becomes of four orders."""
