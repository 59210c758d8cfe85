"""What a model is worth on rows that training never saw, and whether it is better than another."""
