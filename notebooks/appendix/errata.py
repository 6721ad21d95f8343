# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Errata
#
# What the studies get wrong by their own numbers. Each entry is computed from values that the study itself prints;
# where an entry is a matter of words, both wordings are given, and where a number comes from elsewhere, its source is
# named. None of this makes a study worthless. It tells which of
# its numbers to lean on.

# %% tags=["remove-cell"]
import pandas as pd
from myst_nb import glue

from millpond import plots, published
from millpond.capacity.inventory import MILLION_M3_PER_ACRE_FOOT

# %% [markdown]
# ## Normalization
#
# ### What the pixel count leaves open
#
# {cite:t}`omankadunc2022` cut randomly placed square patches out of a year of images. If every patch were kept for one
# single date, this many pixels would result:

# %%
printed = {
    claim: published.text("normalization_claims", section="dataset", claim=claim)
    for claim in ("patches", "patch size (pixels)", "pixels after filtering")
}
patches = int(printed["patches"])
side = int(printed["patch size (pixels)"].split("x")[0])
pixels_one_date = patches * side**2
print(f"{pixels_one_date:,}")

# %% tags=["remove-cell", "nbval-check-output"]
pixels_stated = int(printed["pixels after filtering"])
share = pixels_stated / pixels_one_date
glue("pixels_one_date", f"{pixels_one_date / 1e6:.0f} million", display=False)
glue("pixels_stated", f"{pixels_stated / 1e6:.0f} million", display=False)
glue("share", f"{share:.0%}", display=False)
print(pixels_one_date, f"{share:.2f}")

# %% [markdown]
# The study prints {glue:text}`pixels_stated`, which is {glue:text}`share` of the {glue:text}`pixels_one_date` of one
# date. The same count stands over its figure by land cover, said to use a single time frame, and over the one by month. On
# average that is a fraction of one image a patch ({numref}`tab-errata-pixels`); how the pixels were sampled is not said. It is a gap
# rather than an error.

# %% tags=["hide-input", "remove-output"]
rows = [
    ("one date of all patches", f"{pixels_one_date:,}"),
    ("stated", f"{pixels_stated:,}"),
    ("stated, as a share of one date", f"{share:.0%}"),
    ("stated, per patch", f"{pixels_stated / patches:,.0f} of {side**2:,}"),
]
glue("tab-errata-pixels", plots.table(pd.DataFrame(rows, columns=["what", "pixels"])))

# %% [markdown]
# ````{table} Pixels of the normalization study, computed from the real numbers that it prints.
# :name: tab-errata-pixels
# ```{glue:md} tab-errata-pixels
# :format: myst
# ```
# ````
#
# ### Which bands Fig. 12 shows
#
# The text introduces the images as true colour (B4, B3, B2) and false colour (B8, B4, B3). The caption of the same
# figure says B8, B4, B3 for the true-colour images and B8, B4, B2 for the false-colour ones. The caption's first triple
# is the text's second, so we take the caption for a slip.
#
# ## Level
#
# {cite:t}`wu2023` compare samplings and satellites by averages over their Table 4. Here they are computed again:

# %% tags=["hide-input", "remove-output"]
table4 = published.load("wu2023_table4_source_and_sampling")
stated = published.load("wu2023_text_claims")
rows = []
for column, told in (("r2", "R2"), ("rmse_m", "RMSE"), ("mae_m", "MAE")):
    for sampling in ("random", "chronological"):
        part = table4[table4["sampling"] == sampling]
        text = stated.loc[stated["quantity"] == f"mean {told}, {sampling} sampling", "value"].iloc[0]
        rows.append(
            {
                "mean over Table 4": f"{told.replace('R2', 'R²')}, {sampling}",
                "stated": f"{text:.2f}",
                "all rows": f"{part[column].mean():.2f}",
                "rows of Sentinel-2": f"{part.loc[part['source'] == 'sentinel-2', column].mean():.2f}",
            }
        )
glue("tab-errata-level", plots.table(pd.DataFrame(rows)))
pairs = table4.pivot(index=["reservoir", "source"], columns="sampling", values=["r2", "rmse_m", "mae_m"])
by_source = table4.pivot(index=["reservoir", "sampling"], columns="source", values=["r2", "rmse_m", "mae_m"])

# %% tags=["remove-cell", "nbval-check-output"]
lower = int((pairs["rmse_m", "chronological"] < pairs["rmse_m", "random"]).sum())
falls = {
    (section, score): stated[(stated["section"] == section) & (stated["quantity"] == f"{score} decrease with CAM")][
        "value"
    ].iloc[0]
    for section in ("abstract", "4.4")
    for score in ("RMSE", "MAE")
}
bil, lys = (by_source.loc[(name, "chronological")] for name in ("BIL", "LYS"))
agrees = {
    "BIL": [score for score in ("rmse_m", "mae_m") if bil[score, "sentinel-1"] < bil[score, "sentinel-2"]],
    "LYS": [score for score in ("rmse_m", "mae_m") if lys[score, "sentinel-1"] < lys[score, "sentinel-2"]],
}
NAMES = {"rmse_m": "RMSE", "mae_m": "MAE"}
best = stated.loc[stated["quantity"] == "BHC best R2", "value"].iloc[0]
before = published.load("wu2023_table5_regionalization_bhc").set_index("stage").loc["before", "r2"]
validation = published.load("wu2023_table2_validation_reservoirs").set_index("reservoir")
arrow = validation.loc["ARR"]
costilla_1e6_m3 = validation.loc["CTR", "capacity_1e3_m3"] / 1000
inventory_acre_feet = 15_830  # normal storage of Costilla Dam, NM00020, in the US National Inventory of Dams
inventory_1e6_m3 = inventory_acre_feet * MILLION_M3_PER_ACRE_FOOT
pooled = {
    (sampling, column, source): table4[(table4["sampling"] == sampling) & (table4["source"].isin(sources))][
        column
    ].mean()
    for sampling in ("random", "chronological")
    for column in ("r2", "rmse_m", "mae_m")
    for source, sources in (("all", ["sentinel-1", "sentinel-2"]), ("optical", ["sentinel-2"]))
}
said = {
    (sampling, column): stated.loc[stated["quantity"] == f"mean {told}, {sampling} sampling", "value"].iloc[0]
    for sampling in ("random", "chronological")
    for column, told in (("r2", "R2"), ("rmse_m", "RMSE"), ("mae_m", "MAE"))
}
near = max(abs(said["random", column] - pooled["random", column, "optical"]) for column in ("r2", "rmse_m", "mae_m"))
spread = {source: bil["rmse_m", source] / (1 - bil["r2", source]) ** 0.5 for source in ("sentinel-1", "sentinel-2")}
glue("errata_level_near", f"{near:.2f}", display=False)
glue("errata_level_stated", f"{said['chronological', 'rmse_m']:.2f} m", display=False)
glue("errata_level_optical", f"{pooled['chronological', 'rmse_m', 'optical']:.2f} m", display=False)
glue("errata_level_all", f"{pooled['chronological', 'rmse_m', 'all']:.2f} m", display=False)
for source, value in spread.items():
    glue(f"errata_level_spread_{source[-1]}", f"{value:.2f} m", display=False)
glue("errata_level_lower", f"{lower} of {len(pairs)}", display=False)
for section, key in (("abstract", "abstract"), ("4.4", "text")):
    glue(f"errata_level_{key}", f"{falls[section, 'RMSE']:g} % and {falls[section, 'MAE']:g} %", display=False)
for name, scores in agrees.items():
    glue(f"errata_level_{name}", " and ".join(NAMES[score] for score in scores) or "neither", display=False)
glue("errata_level_best", f"{best:.2f}", display=False)
glue("errata_level_before", f"{before:.2f}", display=False)
glue("errata_level_arrow", f"{-arrow['longitude_deg']:.2f}° W", display=False)
glue("errata_level_arrow_said", f"{arrow['location']}", display=False)
glue("errata_level_costilla", f"{costilla_1e6_m3:.1f} million m³", display=False)
glue("errata_level_inventory", f"{inventory_1e6_m3:.1f} million m³", display=False)
glue("errata_level_inventory_acre_feet", f"{inventory_acre_feet:,} acre-feet", display=False)
glue("errata_level_costilla_share", f"{costilla_1e6_m3 / inventory_1e6_m3:.0%}", display=False)
print(lower, agrees, best, before, f"{costilla_1e6_m3 / inventory_1e6_m3:.2f}")

# %% [markdown]
# ````{table} Means over the real, published Table 4 of the level study, beside those that its text states.
# :name: tab-errata-level
# ```{glue:md} tab-errata-level
# :format: myst
# ```
# ````
#
# The text speaks of all models. Under random sampling, the stated means are those of the rows of Sentinel-2 to within {glue:text}`errata_level_near` ({numref}`tab-errata-level`). Under chronological sampling the errors are neither's: the RMSE is stated as {glue:text}`errata_level_stated`, the rows of Sentinel-2
# give {glue:text}`errata_level_optical`, all rows {glue:text}`errata_level_all`. Models with random sampling are said to have the better values consistently; in {glue:text}`errata_level_lower` pairs of the table the chronological RMSE is lower. With chronological sampling, Sentinel-1 is said
# to do better at Buck Island and Lyons. Of RMSE and MAE, the ones that agree are, at Buck Island: {glue:text}`errata_level_BIL`; at Lyons: {glue:text}`errata_level_LYS`. An R² depends on how much the levels of the test part spread, which RMSE and R² together tell: at Buck Island by {glue:text}`errata_level_spread_1` with
# Sentinel-1 and {glue:text}`errata_level_spread_2` with Sentinel-2. Two test periods were compared, more than two satellites.
#
# With CAM, RMSE and MAE fall by {glue:text}`errata_level_abstract` in the abstract and by {glue:text}`errata_level_text` in the text. Brush Creek's best R² is {glue:text}`errata_level_best` in the text and {glue:text}`errata_level_before` in Table 5. Arrow's longitude, {glue:text}`errata_level_arrow`, is not in {glue:text}`errata_level_arrow_said`: at that latitude it is in Saskatchewan.
#
# Table 2 gives Costilla a capacity of {glue:text}`errata_level_costilla`. The US National Inventory of Dams has Costilla Dam at the same place, with a normal storage of {glue:text}`errata_level_inventory_acre_feet`, which are {glue:text}`errata_level_inventory`: the study's number is {glue:text}`errata_level_costilla_share` of that. What it
# counts as capacity is not said.
#
# ## Capacity
#
# The study {cite:p}`hydrology2022` says that two optional factors do better than one, and chooses scenario 5 as the best. Its own Table 3,
# for PSO-ELM:

# %% tags=["hide-input", "remove-output"]
table3 = published.load("capacity_table3_calibration")
swarm = table3[table3["model"] == "PSO-ELM"].set_index("scenario")
factors = published.load("capacity_table2_scenarios").set_index("scenario")["factors"]
shown = pd.DataFrame(
    {
        "scenario": swarm.index,
        "factors": factors[swarm.index],
        "mean error (%)": swarm["mape_percent"].map("{:.2f}".format),
        "R²": swarm["r2"].map("{:.4f}".format),
    }
)
glue("tab-errata-scenarios", plots.table(shown))

# %% tags=["remove-cell", "nbval-check-output"]
n_factors = factors.str.split().str.len()
one, two = (swarm.loc[n_factors[n_factors == n].index, "mape_percent"] for n in (4, 5))
glue("errata_worst_two", f"{two.idxmax()}", display=False)
glue("errata_worst_two_mape", f"{two.max():.2f} %", display=False)
glue("errata_best_one", f"{one.idxmin()}", display=False)
glue("errata_best_one_mape", f"{one.min():.2f} %", display=False)
glue("errata_best_mape", f"{swarm['mape_percent'].idxmin()}", display=False)
glue("errata_best_r2", f"{swarm['r2'].idxmax()}", display=False)
print(two.idxmax(), bool(two.max() > one.min()), swarm["mape_percent"].idxmin(), swarm["r2"].idxmax())

# %% [markdown]
# ````{table} Computed from real, published scores: PSO-ELM on the study's calibration part.
# :name: tab-errata-scenarios
# ```{glue:md} tab-errata-scenarios
# :format: myst
# ```
# ````
#
# Scenario {glue:text}`errata_worst_two`, with two optional factors, errs by {glue:text}`errata_worst_two_mape`, more than scenario
# {glue:text}`errata_best_one` with one, {glue:text}`errata_best_one_mape` ({numref}`tab-errata-scenarios`). By mean error scenario
# {glue:text}`errata_best_mape` is the best, by R² scenario {glue:text}`errata_best_r2`, with as many factors. That the relief is called insignificant is
# [computed in its chapter](../capacity/03_correlations.ipynb). The abstract counts 111 measured reservoirs, the text 12 and 89.
#
# ## LSTM-CNN
#
# {cite:t}`aditi2019` conclude that their network "significantly outperforms" others and sets "a new benchmark". Beside it we put what the study itself cites, and what is known of its second data set:

# %% tags=["hide-input", "remove-output"]
table1, table2 = (published.load(f"lstm_cnn_{name}").set_index("model") for name in ("table1_mnist", "table2_idc"))
best = table1["validation_accuracy_percent"].max()
cited_error_percent, cited_balanced_percent = (
    published.value("lstm_cnn_text_claims", quantity=quantity)
    for quantity in (
        "error rate on MNIST, cited from Ciresan et al. 2012",
        "balanced accuracy on IDC, cited from Cruz-Roa et al. 2014",
    )
)
healthy, with_carcinoma = 198_738, 78_786  # patches of the data set, as its publisher counts them
majority_percent = 100 * healthy / (healthy + with_carcinoma)
lead = table1.loc["LSTM-CNN", "validation_accuracy_percent"] - table1.loc["LSTM", "validation_accuracy_percent"]
rows = [
    ("error of its best network on MNIST", f"{100 - best:.2f} %"),
    ("smallest error that it cites for MNIST", f"{cited_error_percent:.2f} %"),
    ("its lead over the LSTM on MNIST", f"{lead:.2f} points"),
    ("its accuracy on histology", f"{table2.loc['LSTM-CNN', 'validation_accuracy_percent']:.1f} %"),
    ("accuracy of calling every patch healthy", f"{majority_percent:.1f} %"),
    ("balanced accuracy that it cites for histology", f"{cited_balanced_percent:.2f} %"),
]
glue("tab-errata-lstm-cnn", plots.table(pd.DataFrame(rows, columns=["what", "value"])))

# %% tags=["remove-cell", "nbval-check-output"]
glue("errata_error_ratio", f"{(100 - best) / cited_error_percent:.1f}", display=False)
glue("errata_majority", f"{majority_percent:.1f} %", display=False)
print(f"{(100 - best) / cited_error_percent:.2f} {majority_percent:.2f} {lead:.3f}")

# %% [markdown]
# ````{table} Computed from real, published numbers of the LSTM-CNN study and of the data set that it uses.
# :name: tab-errata-lstm-cnn
# ```{glue:md} tab-errata-lstm-cnn
# :format: myst
# ```
# ````
#
# Its best network errs {glue:text}`errata_error_ratio` times as often as the best that it cites, a committee of 35 networks ({numref}`tab-errata-lstm-cnn`). For histology it cites a {term}`balanced accuracy` and reports an accuracy, which is another
# measure: calling every patch healthy has an accuracy of {glue:text}`errata_majority` and a balanced accuracy of one half. How large a lead over the LSTM chance alone gives, and of how many
# images its accuracies can be counts, is [computed in the chapter](../lstm_cnn/01_four_networks.ipynb).
