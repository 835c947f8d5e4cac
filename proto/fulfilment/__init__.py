"""The fulfilment contract."""
