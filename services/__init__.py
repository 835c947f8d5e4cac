"""The reference store: four services that meet only in events and in `proto/`."""
