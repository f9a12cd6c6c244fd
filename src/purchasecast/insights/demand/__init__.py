"""Expected demand: units and revenue of the rows to come."""
