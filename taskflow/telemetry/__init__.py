"""What the framework tells of itself: logs, counts."""
