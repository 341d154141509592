"""Array operations without parameters; nothing here knows a network."""
