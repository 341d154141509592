"""Decoders: `build(options)` gives `(x, endpoints, *, train) -> x`."""
