"""What is known not to be met, by part and line of the table, and why.

A line that is named here and lost stands in the table as not met; one that is named here and held is an error, so that
nothing stays here for longer than it is true.
"""

from collections.abc import Mapping

KNOWN: Mapping[str, Mapping[str, str]] = {}
