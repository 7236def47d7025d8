"""Figures of finished runs, for papers and for reports. Needs matplotlib (extra `report`); a file a kind."""
