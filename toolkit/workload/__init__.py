"""A model with what is needed to judge it. Nothing here knows Fashion-MNIST."""
