"""What else the choices of objectives, activations, optimisers … are called, by other programs and papers.

A word leads to what means it here, as an offer in a refusal, of the library as of the settings.
"""

from typing import NamedTuple


class Synonyms(NamedTuple):
    """Words of others, what means them here, and what to know beside; _ in a word may be left out."""

    words: str
    ours: str
    note: str = ""


TABLES = (  # endings of files that hold data, whether they can be read here or not
    ".csv", ".tsv", ".txt", ".dat", ".data", ".npy", ".npz", ".gz", ".zip", ".parquet", ".xlsx", ".xls",
    ".h5",
)  # fmt: skip
VALUES = {  # of a choice, by the last part of its name that says what it is
    "objective": (
        Synonyms("vanilla bce binary_cross_entropy cross_entropy crossentropy bce_loss bce_with_logits ns "
                 "nsgan ns_gan standard dcgan logistic log", "non_saturating"),
        Synonyms("gan original goodfellow", "minimax non_saturating"),
        Synonyms("mm mmgan mm_gan minmax min_max saturating zero_sum", "minimax"),
        Synonyms("ls lsgan ls_gan mse l2 mean_squared_error least_square squares quadratic",
                 "least_squares"),
        Synonyms("w wgan w_gan w1 emd earth_mover earthmover wasserstein1 wasserstein_gan critic",
                 "wasserstein", "bound D as well, by clip=0.01 or wgan_gp=10"),
        Synonyms("wgangp wgan_gp wgan_with_gp improved_wgan gp",
                 "wasserstein", "with wgan_gp=10, r1=0 and r2=0"),
        Synonyms("rgan r_gan rsgan rpgan ragan rs ra r3gan relativistic_gan", "relativistic"),
        Synonyms("hinge_loss hinge_gan geometric sngan sagan biggan", "hinge"),
        Synonyms("jsd jensen_shannon jensenshannon", "js"),
        Synonyms("kld kl_divergence kullback_leibler forward_kl", "kl"),
        Synonyms("rkl kl_reverse backward_kl", "reverse_kl"),
        Synonyms("tv variation total_var", "total_variation"),
        Synonyms("hellinger", "squared_hellinger"),
        Synonyms("chi2 chi_squared chi_square pearson_chi2", "pearson"),
        Synonyms("f_gan fgan", "kl reverse_kl js pearson squared_hellinger"),
        Synonyms("alpha alpha_gan alphagan", "alpha(0.5,1)"),
    ),
    "activation": (
        Synonyms("swish gelu mish", "silu"),
        Synonyms("lrelu leaky prelu", "leaky_relu"),
        Synonyms("logistic sig", "sigmoid"),
        Synonyms("hyperbolic_tangent", "tanh"),
        Synonyms("selu celu", "elu"),
    ),
    "initializer": (
        Synonyms("xavier glorot xavier_uniform uniform", "glorot_uniform"),
        Synonyms("xavier_normal normal", "glorot_normal"),
        Synonyms("kaiming he", "he_normal he_uniform"),
        Synonyms("kaiming_normal msra", "he_normal"), Synonyms("kaiming_uniform", "he_uniform"),
        Synonyms("lecun lecun_uniform", "lecun_normal"),
    ),
    "optimizer": (
        Synonyms("adamw nadam amsgrad adamax", "adam"),
        Synonyms("rms", "rmsprop"),
        Synonyms("gd gradient_descent plain", "sgd"),
        Synonyms("nesterov heavy_ball sgd_momentum", "momentum"),
        Synonyms("oadam optimistic", "optimistic_adam"),
        Synonyms("omd ogd ogda", "optimistic_sgd"),
    ),
    "schedule": (
        Synonyms("none off no false fixed flat null", "constant"),
        Synonyms("cos cosine_annealing", "cosine"),
        Synonyms("exp", "exponential", "with final=0.01"),
        Synonyms("lin linear_decay", "linear"),
    ),
    "average": (
        Synonyms("off no false null newest last", "none"),
        Synonyms("exponential moving", "ema"),
        Synonyms("uniform mean swa polyak", "tail"),
    ),
    "order": (
        Synonyms("alternate alt sequential in_turn turns", "alternating"),
        Synonyms("sim joint at_once", "simultaneous"),
        Synonyms("extra eg", "extragradient"),
    ),
    "dtype": (
        Synonyms("float single f32 fp32 32 f4", "float32"),
        Synonyms("double f64 fp64 64 f8", "float64"),
        Synonyms("half float16 f16 fp16 bfloat16 bf16 mixed amp 16", "float32", "it is the smallest"),
    ),
    "backend": (
        Synonyms("gpu cuda cuda_0 cuda0 nvidia", "cupy"),
        Synonyms("cpu np", "numpy"),
        Synonyms("torch pytorch jax tensorflow tf mps", "numpy cupy"),
    ),
    "distribution": (
        Synonyms("gaussian gauss n randn", "normal"),
        Synonyms("unif u rand", "uniform"),
    ),
    "random": (
        Synonyms("cpu np default", "numpy"),
        Synonyms("gpu cuda curand", "philox"),
    ),
    "draws": (
        Synonyms("iid random mc monte_carlo plain", "independent"),
        Synonyms("strata stratify stratification quantile quantiles qmc quasi quasi_monte_carlo sobol halton "
                 "lhs latin latin_hypercube antithetic", "stratified"),
    ),
    "execution": (
        Synonyms("fast fastest default best", "auto"),
        Synonyms("compiled jit plan compile", "planned"),
        Synonyms("eager record replay", "recorded"),
        Synonyms("graph cuda_graph cudagraph", "launches"),
        Synonyms("c gcc clang cc machine_code", "native"),
    ),
}  # fmt: skip
