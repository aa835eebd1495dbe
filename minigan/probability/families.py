"""What a distribution's text can name: the families, their parameters, and other names for both."""

from collections.abc import Callable
from typing import Any, NamedTuple

from minigan.probability.bounded import Beta, Triangular
from minigan.probability.distributions import Laplace, Logistic, Normal, Uniform
from minigan.probability.galaxies import GalaxyImages
from minigan.probability.heavy_tails import Cauchy, Pareto, StudentT
from minigan.probability.multivariate import correlated_normal
from minigan.probability.planar import Checkerboard, circles, grid, moons, pinwheel, ring, spiral, swiss_roll
from minigan.probability.positive import Exponential, Gamma, LogNormal, Weibull


class Family(NamedTuple):
    """What a name in text makes, and its parameters; those with a value may be left out."""

    make: Callable[..., Any]
    parameters: str

    @property
    def names(self) -> list[str]:
        """The parameters in their order."""
        return [part.partition("=")[0].strip() for part in self.parameters.split(",")]

    @property
    def required(self) -> int:
        """How many may not be left out: the first ones."""
        return sum("=" not in part for part in self.parameters.split(","))

    def signature(self, name: str) -> str:
        """How it is called."""
        return f"{name}({self.parameters})"


FAMILIES = {
    "normal": Family(Normal, "mean, sd"),
    "uniform": Family(Uniform, "low, high"),
    "laplace": Family(Laplace, "location, scale"),
    "logistic": Family(Logistic, "location, scale"),
    "student": Family(StudentT, "dof, location = 0, scale = 1"),
    "cauchy": Family(Cauchy, "location, scale"),
    "exponential": Family(Exponential, "scale"),
    "gamma": Family(Gamma, "shape, scale = 1"),
    "lognormal": Family(LogNormal, "mu, sigma"),
    "weibull": Family(Weibull, "shape, scale = 1"),
    "pareto": Family(Pareto, "shape, scale = 1"),
    "beta": Family(Beta, "a, b"),
    "triangular": Family(Triangular, "low, mode, high"),
    "ring": Family(ring, "modes = 8, radius = 1, sd = 0.01"),
    "grid": Family(grid, "side = 5, spacing = 2, sd = 0.05"),
    "spiral": Family(spiral, "turns = 2, sd = 0.02, radius = 1"),
    "moons": Family(moons, "sd = 0.1"),
    "circles": Family(circles, "inner = 0.5, sd = 0.05"),
    "pinwheel": Family(pinwheel, "arms = 5, rate = 0.25, sd = 0.1"),
    "swiss_roll": Family(swiss_roll, "sd = 0.5"),
    "checkerboard": Family(Checkerboard, "side = 4, width = 2"),
    "galaxies": Family(GalaxyImages, "size = 16, noise = 0.1"),
}
VECTORS = {  # of the same name, where lists of numbers are given
    "normal": Family(correlated_normal, "mean, sd, correlation = 0"),
}
_OTHER_NAMES = {
    "normal": "gaussian gauss n norm",
    "uniform": "u unif",
    "laplace": "laplacian doubleexponential",
    "logistic": "sech2",
    "student": "t studentt tdistribution",
    "cauchy": "lorentz lorentzian",
    "exponential": "exp expon",
    "gamma": "erlang",
    "lognormal": "lognorm ln",
    "weibull": "weibullmin",
    "triangular": "triangle triang",
    "moons": "twomoons halfmoons makemoons",
    "circles": "twocircles makecircles",
    "swiss_roll": "swissroll makeswissroll",
    "checkerboard": "chessboard checker",
}
ALIASES = {other: name for name, others in _OTHER_NAMES.items() for other in others.split()}
OTHER_PARAMETERS = {  # by which keywords mean them
    "mean": "mu μ m loc location",
    "sd": "sigma σ s std stdev stddev scale noise",
    "correlation": "rho ρ corr r",
    "location": "loc mu μ m mean median x0",
    "scale": "s sigma σ b theta θ",
    "mu": "μ mean m",
    "sigma": "σ sd std s",
    "low": "a min minimum lower left",
    "mode": "c peak",
    "high": "b max maximum upper right",
    "dof": "df nu ν n k",
    "shape": "a k alpha α",
    "modes": "n k count",
    "radius": "r",
    "noise": "sd sigma σ",
    "inner": "factor",
    "a": "alpha α",
    "b": "beta β",
}
_WHOLE = "its values are whole numbers, and a generator's are continuous"
UNAVAILABLE = {  # names that people know, with what to write
    "mixture": "a mixture is written as a sum, 0.5*normal(-1, 1) + 0.5*normal(1, 1)",
    **dict.fromkeys(["poisson", "binomial", "bernoulli", "geometric", "multinomial", "categorical"], _WHOLE),
    **dict.fromkeys(["randint", "integers", "discrete", "hypergeometric", "zipf"], _WHOLE),
    **dict.fromkeys(["dirac", "delta", "constant", "point"], "a single value has no density; try a small sd"),
    **dict.fromkeys(
        ["chi2", "chisq", "chisquare", "chisquared", "χ2"], "with k degrees of freedom it is gamma(k/2, 2)"
    ),
    "rayleigh": "of scale 1 it is weibull(2, 1.4142), of scale s weibull(2, 1.4142 s)",
}


def squeezed(name: str) -> str:
    """A name without what does not tell names apart: capitals, '_', '-' and blanks."""
    return name.lower().translate(str.maketrans("", "", "_- "))


def known(name: str) -> bool:
    """Whether a name, in any such spelling, is that of a family."""
    return squeezed(name) in FAMILIES or squeezed(name) in ALIASES or squeezed(name) in UNAVAILABLE
