"""The incremental room."""
