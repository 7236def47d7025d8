"""Heads that are solved: one engine of sums over clips, which heads read through their own map and solve."""
