"""Heads: `build(options)` gives `(x, *, train) -> x`."""
