"""The bundled checkpoint and image sample: package data."""
