"""The paper's tables as data: which runs they need, and what was published."""
