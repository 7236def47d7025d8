"""Recipes: what a clip becomes before an encoder sees it. Imports nothing: children come through here."""
