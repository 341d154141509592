"""Procedural street scenes: a pinhole camera, a canvas, and what to draw."""
