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
# ### How many pixels a year of patches holds
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
# date. So most patches are missing on a given date, or each patch entered in part. The text describes the filter for
# clouds and snow but no further sampling. The histograms of a "whole year" are therefore built from less than one
# image of each place, and {numref}`tab-errata-pixels` is what we can say about them.

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
