"""Pages and pictures for a person."""
