"""Models that are no GANs, with which GANs are compared: classifiers, and maximum likelihood.

``classifiers``     what every classifier has
``generative``      Gaussian classes: p(x | C) and p(C), Bayes' rule, new data
``discriminative``  logistic and softmax regression: p(C | x) alone
``posterior``       Bayes' rule on logarithms
``likelihood``      mixtures fitted by maximum likelihood, and by other divergences

Distributions are in ``minigan.probability``; judging a sample, in ``minigan.evaluation``.
"""

from minigan.models.classifiers import ConvergenceWarning, NotFittedError
from minigan.models.discriminative import LogisticRegression, SoftmaxRegression
from minigan.models.generative import GaussianClassifier
from minigan.models.posterior import log_posterior, posterior

__all__ = [
    "ConvergenceWarning",
    "GaussianClassifier",
    "LogisticRegression",
    "NotFittedError",
    "SoftmaxRegression",
    "log_posterior",
    "posterior",
]
