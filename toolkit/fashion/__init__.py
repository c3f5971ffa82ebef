"""Everything that is Fashion-MNIST: model, checkpoints, data, training, labels, assets."""
