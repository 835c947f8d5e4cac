"""What workers share where the broker cannot keep it: events, pauses, rates, leases, reports."""
