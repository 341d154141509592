"""Encoders: `build(options)` gives `(x, *, train) -> endpoints`."""
