"""Where the embedded broker keeps its rows."""
