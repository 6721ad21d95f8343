"""Speed of the capacity room as ratios against named peers, measured in one run."""

import logging.config
import statistics
import time
from unittest import mock

import numpy as np
from rasterio.transform import Affine
from scipy.stats import mannwhitneyu

from millpond.capacity.dams import build_dams, jacksboro
from millpond.capacity.elm import PSOELMRegressor
from millpond.capacity.factors import factors_on_network
from millpond.capacity.terrain import FlowNetwork

SEEDS = range(20)
N_SAMPLES, N_FACTORS, N_HIDDEN = 81, 5, 20  # the study's training part, its chosen factors
N_PARTICLES, N_GENERATIONS = 40, 200


def simulated_reservoirs() -> tuple[np.ndarray, np.ndarray]:
    """Standardized, correlated logarithms of factors, and the logarithm of a capacity with noise."""
    rng = np.random.default_rng(0)
    covariance = np.full((N_FACTORS, N_FACTORS), 0.6) + 0.4 * np.eye(N_FACTORS)
    X = rng.multivariate_normal(np.zeros(N_FACTORS), covariance, N_SAMPLES)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    y = X @ [0.4, 0.2, 0.9, 0.1, -0.2] + 0.2 * X[:, 0] * X[:, 3] + rng.normal(0, 0.3, N_SAMPLES)
    return X, y


def search_with_pyswarms(X: np.ndarray, y: np.ndarray, settings: PSOELMRegressor, seed: int) -> float:
    """Training error of the best layer that pyswarms finds, each particle with a pseudo-inverse of its own."""
    n_weights = N_HIDDEN * N_FACTORS
    n_dims = n_weights + N_HIDDEN

    def training_error(particle):
        weights, biases = particle[:n_weights].reshape(N_HIDDEN, N_FACTORS), particle[n_weights:]
        hidden = 1 / (1 + np.exp(-(X @ weights.T + biases)))
        return np.sqrt(np.mean((y - hidden @ (np.linalg.pinv(hidden) @ y)) ** 2))

    np.random.seed(seed)  # noqa: NPY002 - the only way to seed it
    limit = np.full(n_dims, settings.position_limit)
    with mock.patch.object(logging.config, "dictConfig"):  # it configures the root logger and writes a report.log
        from pyswarms.single import GlobalBestPSO

        swarm = GlobalBestPSO(
            n_particles=N_PARTICLES,
            dimensions=n_dims,
            options={"w": settings.inertia, "c1": settings.c1, "c2": settings.c2},
            bounds=(-limit, limit),
            bh_strategy="nearest",  # limited like ours: with its defaults its training error is half as large again
            velocity_clamp=(-settings.position_limit, settings.position_limit),
        )
        return swarm.optimize(lambda particles: [training_error(p) for p in particles], N_GENERATIONS, verbose=False)[0]


def pso_elm() -> None:
    X, y = simulated_reservoirs()
    seconds, fitness = ({name: [] for name in ("ours", "press", "peer")} for _ in range(2))
    settings = {"n_hidden": N_HIDDEN, "n_particles": N_PARTICLES, "max_iterations": N_GENERATIONS - 1}
    for seed in SEEDS:
        ours = PSOELMRegressor(**settings, fitness="training", random_state=seed)
        press = PSOELMRegressor(**settings, fitness="press", random_state=seed)
        searches = {
            "ours": lambda model=ours: model.fit(X, y).swarm_.fitness,
            "press": lambda model=press: model.fit(X, y).swarm_.fitness,
            "peer": lambda model=ours, seed=seed: search_with_pyswarms(X, y, model, seed),
        }
        for name, search in searches.items():
            start = time.perf_counter()
            fitness[name].append(search())
            seconds[name].append(time.perf_counter() - start)
    # The seeds are the repetitions; the median forgets the first one, which imports and compiles.
    took = {name: statistics.median(own) for name, own in seconds.items()}
    print(
        f"pyswarms with a pseudo-inverse a particle / PSO-ELM, {N_PARTICLES} particles x {N_GENERATIONS} generations, "
        f"{N_HIDDEN} neurons, {N_SAMPLES} x {N_FACTORS}: {took['peer'] / took['ours']:.1f}  (at least 5)"
    )
    print(f"the same with the leave-one-out error: {took['peer'] / took['press']:.1f}")
    p = mannwhitneyu(fitness["ours"], fitness["peer"], alternative="greater").pvalue
    print(
        f"training error, median of {len(SEEDS)} seeds: {statistics.median(fitness['ours']):.4f}, pyswarms "
        f"{statistics.median(fitness['peer']):.4f}; chance of ours being so much worse by luck: {p:.2f}  (above 0.05)"
    )


def terrain() -> None:
    """Factors of 200 virtual reservoirs on 4,000 x 4,000 cells: the bundled hills, finer, laid out in cells of 30 m."""
    elevation = jacksboro(refine=12)[0][:4000, :4000]
    start = time.perf_counter()
    net = FlowNetwork.from_dem(elevation, transform=Affine(30, 0, 0, 0, -30, 4_000_000), crs="EPSG:32616")
    _ = net.upstream_cells, net.edge_contaminated()
    network_s = time.perf_counter() - start
    dams, water = build_dams(elevation, net, 200, random_state=0, area_km2=(1, 100))
    seconds = {}
    for n in (200, 10) * 3:
        labels = np.where(water <= n, water, 0)
        start = time.perf_counter()
        factors_on_network(net, labels, crest_m=dams["crest_m"].to_dict())
        seconds.setdefault(n, []).append(time.perf_counter() - start)
    took = {n: statistics.median(own) for n, own in seconds.items()}
    with open("/proc/self/status") as status:
        peak_gb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 2**20
    print(f"factors of 200 reservoirs / of 10: {took[200] / took[10]:.2f}  (limit 1.3)")
    print(f"network and factors of 200 reservoirs, 4,000 x 4,000 cells: {network_s + took[200]:.0f} s  (limit 60 s)")
    print(f"peak memory: {peak_gb:.1f} GB  (limit 4 GB)")


def main() -> None:
    terrain()
    pso_elm()


if __name__ == "__main__":
    main()
