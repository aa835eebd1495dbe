"""Gradient penalties: functions of D and a batch, added to D's loss, never built in."""

from minigan.engine.autodiff import grad
from minigan.engine.primitives import mean, square, sum_over


def gradient_penalty(logits, x):
    """E ‖∂a/∂x‖², zero-centred, a = D(x) being the logits at x: R1 where x are real data, R2 where generated.

    It makes D flat where the two distributions meet, so the game comes to rest there instead of circling.

    Shapes:  logits (…, B, 1), computed from the variable x (…, B, p) → (…, 1, 1)
    Source:  Mescheder, Geiger, Nowozin 2018, equations 9 and 10 (without their γ/2)
    """
    (slope,) = grad(logits, [x], create_graph=True)  # rows do not interact: of the sum, each row has its own
    return mean(sum_over(square(slope), axis=(-1,)))
