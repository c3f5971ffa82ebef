"""What belongs to no model in particular. Only the names of the ten classes, from the records, are Fashion-MNIST's."""
