"""Findings on time: trend, season, growth by segment, and customers who are leaving."""
