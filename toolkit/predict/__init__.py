"""Predict: what a model says of pictures."""
