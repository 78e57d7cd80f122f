"""The feature store itself: its configuration, its repo, its verbs."""
