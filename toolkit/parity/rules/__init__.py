"""The rules: tolerance, checks, and what a lower precision must keep."""
