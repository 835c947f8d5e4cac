"""Writes one e-mail to the customer of each new order."""
