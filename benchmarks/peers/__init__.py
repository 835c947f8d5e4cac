"""One module per peer: its task, and how it sends. `benchmarks.sender` says what they have."""
