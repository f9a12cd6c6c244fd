"""Expected demand: units and revenue of the rows to score."""
