"""The classifiers of ``minigan.models`` as scikit-learn's: the same models, parameters and attributes.

Beside what they have there: data frames with the names of their columns, ``score`` with weights, tags, and
scikit-learn's own errors.
"""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted

from minigan import models
from minigan.sklearn.inputs import checked


class _Estimator(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What scikit-learn asks of a classifier, before a model of ours that comes next among the bases."""

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the model to labelled rows.    Shapes:  X (n, p), y (n,) labels"""
        X, y = checked(self, X, y, least=2)
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind != "binary" and not self.__sklearn_tags__().classifier_tags.multi_class:
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}: it has "
                f"{len(np.unique(y))} classes; use SoftmaxRegression"
            )
        fitted: Self = super().fit(X, y)
        return fitted

    def _require_fit(self) -> None:
        check_is_fitted(self)

    def _rows(self, X: Any) -> Any:
        self._require_fit()
        return checked(self, X, reset=False)


class GaussianClassifier(_Estimator, models.GaussianClassifier):
    """``minigan.models.GaussianClassifier``, which says what it learns, as an estimator.

    >>> from minigan.sklearn import GaussianClassifier
    >>> GaussianClassifier().fit([[0.0], [1.0], [4.0], [5.0]], ["a", "a", "b", "b"]).predict([[4.5]])
    array(['b'], dtype='<U1')
    """


class LogisticRegression(_Estimator, models.LogisticRegression):
    """``minigan.models.LogisticRegression``, which says what it learns, as an estimator.

    >>> from minigan.sklearn import LogisticRegression
    >>> LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]).predict_proba([[1.5]]).round(3)
    array([[0.5, 0.5]])
    """

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


class SoftmaxRegression(_Estimator, models.SoftmaxRegression):
    """``minigan.models.SoftmaxRegression``, which says what it learns, as an estimator.

    >>> from minigan.sklearn import SoftmaxRegression
    >>> X, y = [[0.0], [1.0], [1.0], [2.0], [2.0], [3.0]], [0, 1, 0, 1, 2, 2]
    >>> SoftmaxRegression(weight_decay=0.01).fit(X, y).predict([[0.0], [3.0]])
    array([0, 2])
    """
