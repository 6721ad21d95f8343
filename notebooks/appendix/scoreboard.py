# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Scoreboard
#
# *What became of the studies' claims?*
#
# Each row is a claim that a study makes and a chapter asks again. Numbers and verdicts are those of the chapters, read from their outputs, and so are no older than these. A verdict follows from an interval or a count, by one rule:
#
# - *confirmed* and *refuted*: by real data or the study's own numbers, the 95 % interval of the mean lies on the claim's side, or on the other; or the claim holds in all cases that were counted, or in none;
# - *holds here* and *fails here*: the same, by a simulation. It says what can happen, not what did;
# - *undecided*: the interval holds both sides, a test is not significant, or not in all pairs, or there is but one training;
# - *in part*: it holds in some of the cases counted;
# - *not testable*: our data lack what the study gives as the cause;
# - *built in*: it had to come out, since we put it in;
# - *in reach* or *not reached*: a published error lies in the range of ours, or below it.
#
# Brackets are intervals in some chapters and ranges in others; the chapters say which. Claims about reservoirs are judged by the interval over reservoirs, seeds averaged.
#
# A verdict is about our data, which are seldom the study's. Where we built an effect in, the chapter says so; that it holds is then no evidence.

# %% tags=["hide-input"]
from functools import cache
from pathlib import Path

import nbformat
import pandas as pd
from myst_nb import glue

from millpond import plots


@cache
def pasted(chapter: str) -> dict[str, str]:
    """What a chapter glued, by name: texts and Markdown tables."""
    found = {}
    for cell in nbformat.read(Path("..") / f"{chapter}.ipynb", 4).cells:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if name:
                kinds = {kind.removeprefix("application/papermill.record/"): v for kind, v in output["data"].items()}
                found[name] = kinds.get("text/markdown") or kinds["text/plain"][1:-1]  # without quotes
    return found


def table_of(chapter: str, name: str) -> list[dict[str, str]]:
    """Rows of a Markdown table that a chapter glued."""
    head, _, *rows = pasted(chapter)[name].strip().splitlines()
    columns, *cells = ([cell.strip() for cell in line.strip("| ").split(" | ")] for line in (head, *rows))
    return [dict(zip(columns, row, strict=True)) for row in cells]


def row(claim: str, published: str, here: str, verdict: str, chapter: str) -> dict[str, str]:
    return {
        "claim": claim,
        "published": published,
        "here": here,
        "verdict": verdict,
        "chapter": f"[{int(Path(chapter).name[:2])}](../{chapter}.ipynb)",
    }


# %% [markdown]
# ## Normalization
#
# The study is {cite:t}`omankadunc2022` ({numref}`tab-score-normalization`). Which normalization a network does best with is asked here by one score of two tasks; [the chapter](../normalization/04_does_it_matter.ipynb) has all.

# %% tags=["hide-input", "remove-output"]
LAND = "normalization/03_land_latitude_season"
normalization = [
    row(claim["claim"], claim["asked how"], claim["simulated Europe agrees"], claim["verdict"], LAND)
    for claim in table_of(LAND, "tab-land-claims")
]
MATTER = "normalization/04_does_it_matter"
RANKINGS = [
    ranking
    for ranking in table_of(MATTER, "tab-matter-ranking")
    if ranking["score"] in ("extent, MCC", "real land cover, MCC")
]
normalization += [
    row(claim, ranking["score"], ranking[claim], ranking[f"{which}: verdict"], MATTER)
    for which, claim in (("best", "p1-p99 is best"), ("worst", "min-max is worst"))
    for ranking in RANKINGS
]
normalization += [
    row("p1-p99-bounded is second", ranking["score"], "—", ranking["p1-p99-bounded is second: verdict"], MATTER)
    for ranking in RANKINGS
]
normalization += [
    row(claim["claim"], claim["asked how"], claim["simulated fields"], claim["verdict"], MATTER)
    for claim in table_of(MATTER, "tab-matter-claims")
]
ELSEWHERE = "normalization/05_longer_brighter_elsewhere"
normalization += [
    row(claim["claim"], claim["asked how"], claim["what came out"], claim["verdict"], ELSEWHERE)
    for claim in table_of(ELSEWHERE, "tab-elsewhere-claims")
]
glue("tab-score-normalization", plots.table(pd.DataFrame(normalization).rename(columns={"published": "asked how"})))

# %% [markdown]
# ````{table} Claims of the normalization study, judged there by eye or by one training, or left open, asked of a simulated Europe, of simulated fields, and of real land cover.
# :name: tab-score-normalization
# ```{glue:md} tab-score-normalization
# :format: myst
# ```
# ````
#
# ## Level
#
# The study is {cite:t}`wu2023` ({numref}`tab-score-level`).

# %% tags=["hide-input", "remove-output"]
SCORES = {"R²": "R²", "RMSE (m)": "RMSE"}
SPLIT, ATTENTION, BORROW = "level/02_satellite_and_split", "level/03_attention", "level/04_borrowing_data"
level = [
    row(claim["claim"], f"R² in {claim['published, R²']}", f"R² {claim['twins, R²']}", claim["verdict"], SPLIT)
    for claim in table_of(SPLIT, "tab-level-claims")
]
level += [
    row(claim["claim"], claim["published"], claim["twins"], claim["verdict"], SPLIT)
    for claim in table_of(SPLIT, "tab-level-counted")
]
level += [
    row(
        (
            f"CSAM stays behind CAM in {SCORES[change['score']]}"
            if "not" in change["added"]
            else f"{change['added']} improves {SCORES[change['score']]}"
        ),
        change["published change"],
        change["ours (95 % interval)"],
        change["verdict"],
        ATTENTION,
    )
    for change in table_of(ATTENTION, "tab-attention-changes")
    if change["score"] in SCORES
]
level += [
    row(claim["claim"], claim["published"], claim["twins"], claim["verdict"], BORROW)
    for claim in table_of(BORROW, "tab-borrow-claims")
]
glue("tab-score-level", plots.table(pd.DataFrame(level)))

# %% [markdown]
# ````{table} Claims of the level study, asked of simulated twins; mean, and range or interval as the chapters have them.
# :name: tab-score-level
# ```{glue:md} tab-score-level
# :format: myst
# ```
# ````
#
# On the one real reservoir at hand the question is another: is a network better than a curve through areas and levels? [The first chapter](../level/01_seen_49_times.ipynb) answers it.
#
# ## Capacity
#
# {numref}`tab-score-capacity` has the study of *Hydrology Research* 53(7), 1001.

# %% tags=["hide-input", "remove-output"]
FACTORS, SCENARIOS, TRANSFER = "capacity/03_correlations", "capacity/05_scenarios", "capacity/06_transfer"
factors, scenarios, transfer = (pasted(chapter) for chapter in (FACTORS, SCENARIOS, TRANSFER))
capacity = [
    row(
        "PSO-ELM errs less than ELM (points of MAPE)",
        scenarios["scenarios_published_gain"],
        scenarios["scenarios_swarm_gain"],
        scenarios["scenarios_swarm_verdict"],
        SCENARIOS,
    ),
    row(
        "slopes as inputs lower PSO-ELM's error (points)",
        f"-{scenarios['peeking_published_fifth_gain']}",
        scenarios["scenarios_swarm_fifth_change"],
        scenarios["scenarios_fifth_verdict"],
        SCENARIOS,
    ),
    row(
        "carried to the other area, its MAPE is",
        transfer["transfer_published_mape"],
        transfer["transfer_few_range"],
        transfer["transfer_reach"],
        TRANSFER,
    ),
    row(
        "relief is insignificant, by the study's own correlation",
        "said",
        f"p = {factors['correlation_rsc_p']}",
        factors["correlation_rsc_verdict"],
        FACTORS,
    ),
]
glue("tab-score-capacity", plots.table(pd.DataFrame(capacity)))

# %% [markdown]
# ````{table} Claims of the capacity study, asked of simulated dams on real terrain; the last row is computed from real numbers that the study prints.
# :name: tab-score-capacity
# ```{glue:md} tab-score-capacity
# :format: myst
# ```
# ````
#
# ## LSTM-CNN
#
# The study is {cite:t}`aditi2019` ({numref}`tab-score-networks`).

# %% tags=["hide-input", "remove-output"]
FOUR, TISSUE = "lstm_cnn/01_four_networks", "lstm_cnn/02_histology"
four, tissue = pasted(FOUR), pasted(TISSUE)
networks = []
for name, key in (("a convolution", "cnn"), ("an LSTM", "lstm"), ("a CNN-LSTM", "cnn-lstm")):
    better, worse, said = (four[f"mcnemar_{key}_{told}"] for told in ("better", "worse", "verdict"))
    here = f"in {better} pairs, worse in {worse}"
    networks.append(row(f"the hybrid is significantly better than {name}", "said", here, said, FOUR))
networks += [
    row(
        "by its own accuracies it is better than the LSTM",
        "said",
        f"p = {four['published_p']}",
        four["published_verdict"],
        FOUR,
    ),
    row(
        "it is best on tissue too (ROC-AUC of its fair opponent less its own)",
        "accuracy alone",
        tissue["scores_fair"],
        tissue["scores_verdict"],
        TISSUE,
    ),
]
glue("tab-score-networks", plots.table(pd.DataFrame(networks)))

# %% [markdown]
# ````{table} Claims of the study of LSTM-CNN, asked of the real images of MNIST and of breast tissue.
# :name: tab-score-networks
# ```{glue:md} tab-score-networks
# :format: myst
# ```
# ````

# %% tags=["remove-cell", "nbval-check-output"]
for told in (normalization, level, capacity, networks):
    print(pd.Series([claim["verdict"] for claim in told]).value_counts().sort_index().to_dict())
