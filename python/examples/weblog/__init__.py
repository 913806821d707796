"""What `access_log.py` is made of: inputs, lines, counts, the report and its tables."""
