"""A page of everything about finished runs, in one file that opens without a network. Needs the extra `report`."""
