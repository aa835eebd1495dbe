"""What the examples say of their numbers, held against them: a block more on each page of the gallery.

``found`` is what the script's ``main`` returned. A line that begins with NOT fails the build (check.py). The
examples that are not here hold their own words against their numbers.
"""

CLAIMS = {  # name of an example: code that makes {what it says: whether it is so}
    "information_and_entropy": """
values = [row for row in found.values()]
claims = {
    "formula and integral agree": all(abs(row[0] - row[1]) < 1e-4 for row in values),
    "values scatter about them": all(abs(row[0] - row[2][0]) < 5 * row[2][1] + 1e-9 for row in values),
    "of one spread, the normal distribution has the largest entropy": all(
        row[0] <= found["normal", spread][0] for (_, spread), row in found.items()
    ),
}
""",
    "kl_js_ks": """
claims = {
    "KL is not symmetric": found["KL(q‖p)"] > 2 * found["KL(p‖q)"],
    "JS stays below ln 2": 0 < found["JS(p, q)"] < math.log(2),
    "a sample's KS is near the exact one": abs(found["KS"] - furthest(P, Q)) < 0.02,
}
""",
    "generative_and_discriminative": """
x, y = draw(TWO, 100_000, np.random.default_rng(1))
w = np.linalg.solve(COVARIANCE, TWO[1])
exact = np.mean((x @ w > w @ TWO[1] / 2) == y)
claims = {
    "both come to the accuracy of the exact log-odds within a hundredth": all(
        abs(fit.score(x, y) - exact) < 0.01 for fit in found.values()
    ),
}
""",
    "maximum_likelihood": """
*covering, seeking, _ = found.values()
claims = {
    "formula, gradients and a game for KL(p‖q) end at the mean and sd of the data": all(
        abs(made.mean - 0.6) < 0.06 and abs(made.sd - 2.036) < 0.06 for made in covering
    ),
    "the least KL(q‖p) takes one mode and leaves the other": abs(seeking.mean - 2) < 0.1 and seeking.sd < 1,
}
""",
    "backprop_by_hand": """
claims = {"mean and sd come to 4 and 1.25": abs(found.mean() - 4) < 0.15 and abs(found.std() - 1.25) < 0.15}
""",
    "gan_in_thirty_lines": """
claims = {"KS is about that of a perfect sampler": found.ks.statistic < 0.0163}  # one in 100 has more
""",
    "d_against_d_star": """
claims = {"D comes to D*, weighed by p and q": max(found[-1]) < 0.01 < max(found[0])}
""",
    "v_and_js": """
implied, js = found
claims = {
    "(ln 4 − V)/2 never overstates JS": (implied <= js + 1e-4).all(),
    "of a D that was trained long it is tight": abs(implied[-1] - js).max() < 1e-3,
}
""",
    "dirac_dynamics": """
calm = ("R1", "R2", "R1 + R2", "consensus", "instance noise")
claims = {
    "alternating steps of the plain GAN circle": found["GAN", "alternating"][0] == "orbits",
    "its simultaneous steps leave": found["GAN", "simultaneous"][0] == "leaves",
    "WGAN-GP, whose D is never flat, orbits": found["WGAN-GP", "alternating"][0] == "orbits",
    "penalties on the slope, consensus and noise arrive": all(
        found[name, order][0] == "arrives" for name in calm for order in COLOURS
    ),
}
""",
    "galaxies": """
accuracy = found.pop("accuracy")
claims = {
    "a judge tells some images of G from real ones, and not all": 0.5 < accuracy < 0.95,
    "what astronomers measure is alike, KS below 0.3": max(found.values()) < 0.3,
}
""",
    "open_in_pytorch": """
claims = {"the same outputs, where PyTorch is installed": max(found.values(), default=0.0) < 1e-5}
""",
    "classes": """
claims = {
    "a line cannot part what lies on both sides": found["logistic"] < 0.6,
    "the classifier in G is nearly as good as the true densities": found["from G"] > found["exact"] - 0.02,
}
""",
    "latent_space": """
tails = {latent: tail for (target, latent), (_, tail) in found.items() if target == "student"}
claims = {
    "a uniform latent has no tail for a heavy-tailed target": tails["uniform"] < 0.5 * tails["student"],
    "a normal latent makes a normal target": found["normal", "normal"][0] < 0.03,
}
""",
}
SHOW = """
for said, holds in claims.items():
    print(f"{'as said' if holds else 'NOT as said'}: {said}")
"""


def block(name: str) -> str:
    """What holds an example against its numbers; empty where its script does so itself."""
    if name not in CLAIMS:
        return ""
    return f"\n# %%\n# What is said, held against these numbers.\n{CLAIMS[name].lstrip()}{SHOW}"
