"""A model answering rows that nobody has labelled."""
