"""What workers share where the broker cannot keep it."""
