"""Clips decoded and prepared in child processes that can be killed. Imports nothing: children come through here."""
