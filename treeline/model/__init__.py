"""Features and booster: raw columns in, answers out."""
