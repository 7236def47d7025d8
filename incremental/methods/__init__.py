"""The incremental/methods room."""
