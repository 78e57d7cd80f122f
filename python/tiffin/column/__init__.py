"""Arrow columns on their way to other libraries."""
