"""Models that are no GANs: generative and discriminative classifiers, maximum likelihood."""
