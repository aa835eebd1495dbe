"""Gradient penalties: functions of D and a batch, added to D's loss, never built in."""

from minigan.engine.autodiff import grad
from minigan.engine.primitives import mean, sqrt, square, sum_over

TINY = 1e-12  # under the root of a norm, whose slope is infinite at 0


def gradient_penalty(logits, x, norm=0.0):
    """E (‖∂a/∂x‖ − norm)², a = D(x) being the logits at x: the slope of D against what it should be.

    Zero-centred on real data it is R1, on generated data R2, between them (``interpolate``) the zero-centred
    GP: D is made flat where the two distributions meet, so the game comes to rest there instead of circling.
    Between them with norm 1 it is WGAN-GP's: a critic of slope one has found the earth mover's distance.

    Shapes:  logits (…, B, 1), computed from x (…, B, p), a tensor with a history → (…, 1, 1)
    Source:  Mescheder, Geiger, Nowozin 2018, equations 9 and 10 (without their γ/2); Gulrajani et al. 2017,
             equation 3 (without λ); Thanh-Tung, Tran, Venkatesh 2019 (zero-centred, between them)
    """
    (slope,) = grad(logits, [x], create_graph=True)  # rows do not interact: of the sum, each row has its own
    squared = sum_over(square(slope), axis=(-1,))
    return mean(squared if norm == 0.0 else square(sqrt(squared + TINY) - norm))


def interpolate(real, fake, mix):
    """mix·x + (1−mix)·x̃: points on the lines between real and generated data.

    Shapes:  real, fake (…, B, p), mix (…, B, 1) uniform on [0, 1] → (…, B, p)
    Source:  Gulrajani et al. 2017, algorithm 1
    """
    return mix * real + (1.0 - mix) * fake
