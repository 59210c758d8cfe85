"""How work is spread over processes; takes callables, imports no stage."""
