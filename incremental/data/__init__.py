"""Which clips a run has, and how they reach the device."""
