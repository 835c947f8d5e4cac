"""Moving what waits from one broker to another."""
