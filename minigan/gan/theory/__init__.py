"""What theory says of a game: how it moves, when it rests, and how far a trained one is from that.

``dynamics``       any small game: vector field, exact Jacobian, steps, stability
``dirac``          the Dirac-GAN: methods with their closed forms
``two_gaussians``  a linear GAN on two normal distributions, in closed form
``diagnostics``    D against the optimal D*, and the divergence it bounds

Formulas and small games. The game that is trained is in ``minigan.gan.game``, its objectives and penalties
beside it.
"""
