"""Clips decoded and prepared in worker processes that can be killed. Imports nothing: they come through here."""
