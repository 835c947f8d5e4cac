"""Durable functions: `@workflow`, whose steps are kept, so that a run goes on where it was."""
