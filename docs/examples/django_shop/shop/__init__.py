"""Orders, and the receipts that follow them."""
