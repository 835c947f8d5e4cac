"""Takes orders over HTTP, has them paid, and says so in events."""
