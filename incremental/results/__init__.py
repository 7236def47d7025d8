"""Run folders to metrics and tables. Imports no PyTorch."""
