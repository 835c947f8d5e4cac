"""Canvas: chains, groups and chords of calls, as plans that are stored once and then run."""
