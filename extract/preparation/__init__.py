"""Recipes: what a clip becomes before an encoder sees it. Imports nothing: worker processes come through here."""
