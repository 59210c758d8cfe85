"""The search: its space, its study, its trials."""
