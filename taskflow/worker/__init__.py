"""Runs handlers: receives, executes, settles; threads, limits, a graceful stop."""
