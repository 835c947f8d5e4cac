"""Rows in PostgreSQL: one broker for many hosts."""
