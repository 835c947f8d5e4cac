"""One broker over several files, so that many cores may write at once."""
