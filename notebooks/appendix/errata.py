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
# where an entry is a matter of words, both wordings are given. None of this makes a study worthless. It tells which of
# its numbers to lean on.

# %% tags=["remove-cell"]
import pandas as pd
from myst_nb import glue

from millpond import plots, published

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
patches, side = int(printed["patches"]), int(printed["patch size (pixels)"].split("x")[0])
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
