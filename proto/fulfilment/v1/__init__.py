"""Version 1 of the fulfilment contract."""
