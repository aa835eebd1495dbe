"""minigan's models as estimators of scikit-learn: in pipelines, in searches, cross-validated.

Here: what scikit-learn asks of an estimator, around models that are elsewhere. How a GAN is trained is in
``minigan.training``, the classifiers are in ``minigan.models`` and need no scikit-learn there.

sampler.py       GANSampler: a GAN that learns the distribution of the rows of X, and draws new ones
inputs.py        what estimators are given, checked
classifiers.py   GaussianClassifier, LogisticRegression, SoftmaxRegression
"""

try:
    import sklearn as _sklearn  # noqa: F401  without it one sentence, not a line of ours
except ImportError:
    raise ImportError("minigan.sklearn needs scikit-learn; pip install 'minigan[sklearn]'") from None

from minigan.sklearn.classifiers import GaussianClassifier, LogisticRegression, SoftmaxRegression
from minigan.sklearn.sampler import GANSampler

__all__ = ["GANSampler", "GaussianClassifier", "LogisticRegression", "SoftmaxRegression"]
