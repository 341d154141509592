"""The DeepLab family for semantic segmentation in JAX."""
