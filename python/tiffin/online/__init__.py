"""Answers of the online store."""
