"""`millpond normalize`: fit a normalization on your own scenes, apply it, and see whether new imagery still fits it."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Normalize Sentinel-2 digital numbers.", no_args_is_help=True)

Scenes = Annotated[
    list[Path], typer.Argument(help="GeoTIFF or JPEG 2000 files; several files with one band are one scene.")
]
Bands = Annotated[str, typer.Option(help="Names of the bands, separated by commas.")]
Nodata = Annotated[int, typer.Option(help="Digital number that stands for no data.")]
Offset = Annotated[
    int | None,
    typer.Option(help="Radiometric offset in the digital numbers (0 or 1000); by default from metadata, name or date."),
]


@app.command()
def fit(
    scenes: Scenes,
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file to write.")],
    method: Annotated[str, typer.Option(help="One of the eight, see `millpond normalize methods`.")] = "p1-p99",
    bands: Bands = "B02,B03,B04,B08",
    nodata: Nodata = 0,
    offset: Offset = None,
    harmonize: Annotated[bool, typer.Option(help="Bring scenes of unlike offsets to offset 0 first.")] = False,
) -> None:
    """Fit a normalization to all valid pixels of SCENES."""
    from millpond.normalization.transforms import fit_normalization

    histogram = _histogram(scenes, bands, nodata, offset, harmonize)
    normalization = fit_normalization(method, histogram)
    normalization.save(out)
    known = "unknown" if normalization.offset is None else f"{normalization.offset:,}"
    typer.echo(f"{out}: {method}, bands {bands}, {max(normalization.n_pixels):,} pixels, radiometric offset {known}")


@app.command()
def methods() -> None:
    """List the eight normalizations."""
    from millpond.normalization.transforms import NORMALIZATIONS

    for name, method in NORMALIZATIONS.items():
        typer.echo(f"{name:26} {method}")


@app.command()
def apply(
    normalization: Annotated[Path, typer.Argument(help="JSON file written by `fit`.")],
    scene: Annotated[list[Path], typer.Argument(help="One scene: one file, or one file a band.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="GeoTIFF to write: float32, NaN where there is no data.")],
    nodata: Nodata = 0,
    offset: Offset = None,
) -> None:
    """Apply a saved NORMALIZATION to a SCENE of any size."""
    from tqdm import tqdm

    from millpond.normalization.errors import NormalizationError
    from millpond.normalization.transforms import Normalization
    from millpond.raster import open_raster, write_blocks

    fitted = Normalization.load(normalization)
    with open_raster(scene if len(scene) > 1 else scene[0], fitted.bands) as raster:
        offset = _offset_of(raster) if offset is None else offset
        if offset is None and fitted.offset is not None:
            raise NormalizationError(
                f"{scene[0]}: radiometric offset unknown, needed since the normalization was fitted on offset "
                f"{fitted.offset}. State it: --offset 0 before processing baseline 04.00, --offset 1000 since."
            )

        def blocks():
            for window, dn in tqdm(raster.blocks(), total=len(raster.windows()), unit="block", disable=None):
                values = fitted.transform(dn, offset=offset)
                values[dn == nodata] = float("nan")
                yield window, values

        write_blocks(out, blocks(), like=raster, bands=fitted.bands)
    typer.echo(f"{out}: {', '.join(fitted.bands)} by {fitted.name}")


@app.command()
def drift(
    normalization: Annotated[Path, typer.Argument(help="JSON file written by `fit`.")],
    scenes: Scenes,
    nodata: Nodata = 0,
    offset: Offset = None,
    harmonize: Annotated[bool, typer.Option(help="Bring scenes to offset 0 first.")] = False,
) -> None:
    """Tell how far new SCENES are from what a NORMALIZATION was fitted on."""
    from millpond.normalization.transforms import DriftWarning, Normalization

    fitted = Normalization.load(normalization)
    histogram = _histogram(scenes, ",".join(fitted.bands), nodata, offset, harmonize)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DriftWarning)
        table = fitted.drift(histogram)
    typer.echo(table.to_string(float_format=lambda value: f"{value:.3f}"))
    for warning in caught:
        typer.echo(f"drift: {warning.message}", err=True)


def _histogram(scenes, bands, nodata, offset, harmonize):
    from millpond.normalization.histogram import BandHistogram

    return BandHistogram.from_rasters(
        scenes if len(scenes) > 1 else scenes[0],
        tuple(band.strip() for band in bands.split(",")),
        nodata,
        offset="auto" if offset is None else offset,
        harmonize=harmonize,
    )


def _offset_of(raster) -> int | None:
    from millpond.normalization.offset import offset_of_product

    return offset_of_product(raster.tags(), (path.resolve() for path in raster.paths))
