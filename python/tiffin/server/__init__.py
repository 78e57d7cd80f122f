"""What of a server is Python: API keys, and the process beside it that runs Python functions."""
