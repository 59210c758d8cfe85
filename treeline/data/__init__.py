"""A table from a file to checked, settled and split rows; one reader of cells."""
