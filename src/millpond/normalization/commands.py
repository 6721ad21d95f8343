"""`millpond normalize`: fit a normalization on your own scenes, apply it, and see whether new imagery still fits it."""

from pathlib import Path
from typing import Annotated

import typer

from millpond.normalization.fields_commands import Names, Offset, counted, listed
from millpond.normalization.fields_commands import app as fields_app

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.add_typer(fields_app, name="fields")

Scenes = Annotated[
    list[str],
    typer.Argument(
        help="Files, folders, SAFE products, zips or addresses (https://, s3://, /vsizip/, GDAL's names). Files named "
        "alike but for the band are one scene."
    ),
]
Resolution = Annotated[
    float | None,
    typer.Option(help="Pixel size that bands of unlike ones are brought to, in metres: averaged, or repeated."),
]
Bands = Annotated[str, typer.Option(help="Names of the bands, separated by commas.")]
Nodata = Annotated[
    str,
    typer.Option(
        help="Digital number that stands for no data, beside what a file itself declares; none, if there is no such."
    ),
]
NodataAsFitted = Annotated[str | None, typer.Option(help="As in `fit`; default: as fitted.")]


@app.callback(invoke_without_command=True)
def _normalize(context: typer.Context) -> None:
    """Normalize Sentinel-2 digital numbers."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def fit(
    scenes: Scenes,
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file to write.")],
    method: Annotated[str, typer.Option(help="A name, see `millpond normalize methods`.")] = "p1-p99",
    bands: Bands = "B02,B03,B04,B08",
    names: Names = None,
    nodata: Nodata = "0",
    offset: Offset = None,
    harmonize: Annotated[bool, typer.Option(help="Bring scenes of unlike offsets to offset 0 first.")] = False,
    resolution: Resolution = None,
) -> None:
    """Fit a normalization to all valid pixels of SCENES.

    A file NAME_mask.tif beside NAME.tif takes out the pixels where it is not zero, such as clouds.
    """
    from millpond.files import check_target
    from millpond.normalization.errors import NormalizationError
    from millpond.normalization.transforms import fit_normalization, method_named

    chosen = method_named(method)  # this and the next line refuse before an archive is counted
    files = _files(scenes)
    check_target(out, NormalizationError, files)
    histogram = _histogram(files, listed(bands), names, _number(nodata), offset, harmonize, resolution)
    fit_normalization(chosen, histogram).save(out, inputs=files)
    told = f"{out}: {method}, bands {bands}, {max(histogram.n_pixels):,} pixels, radiometric offset "
    typer.echo(told + histogram.offset_in_words + ("; state it with --offset" if histogram.offset is None else ""))


@app.command()
def info(
    scenes: Scenes,
    bands: Annotated[str | None, typer.Option(help="Bands to look at, separated by commas; default: all.")] = None,
    names: Names = None,
    nodata: Nodata = "0",
    offset: Offset = None,
    resolution: Resolution = None,
) -> None:
    """Say what would be read of SCENES: bands, grid, date, offset and why, no data and how much is valid."""
    from millpond.normalization.histogram import scenes_among
    from millpond.normalization.patches import mask_beside
    from millpond.raster import open_raster
    from millpond.sentinel2 import acquired, find_offset

    for scene in scenes_among(_files(scenes), listed(names), resolution):
        with open_raster(scene, listed(bands), names=listed(names), resolution_m=resolution) as raster:
            found = find_offset(raster, offset)
            beside = None if isinstance(scene, list) else mask_beside(scene)
            pixel = " x ".join(f"{size:g}" for size in raster.pixel)
            declared = {f"{value:g}" for value in raster.nodatavals if value is not None} | raster.declared_by_masks()
            lines = {
                "files": ", ".join(dict.fromkeys(path.name for path in raster.paths)),
                "grid": f"{raster.shape[0]:,} x {raster.shape[1]:,} pixels of {pixel} in {raster.crs}, {raster.dtype}",
                "date": acquired(raster) or "unknown",
                "radiometric offset": f"{'unknown' if found.dn is None else f'{found.dn:,}'} ({found.why})",
                "no data": f"{nodata} (--nodata); the files declare: {', '.join(sorted(declared)) or 'nothing'}",
                "mask beside it": "none" if beside is None else beside.name,
            }
            typer.echo(raster.name)
            for what, value in lines.items():
                typer.echo(f"  {what}: {value}")
            if found.doubt:
                typer.echo(f"  doubt: {found.doubt.removeprefix(f'{raster.name}: ')}")
            for band, (share, low, high) in _ranges(raster, _number(nodata), beside).items():
                typer.echo(f"  {band:5} {share:6.1%} valid, {low} to {high}" if share else f"  {band:5} no valid pixel")


@app.command()
def methods() -> None:
    """List the study's eight normalizations, Dynamic World's with the other divisor, and what others use."""
    from millpond.normalization.transforms import DIFFERENCES, NORMALIZATIONS, RIVALS

    for name, method in (NORMALIZATIONS | DIFFERENCES | RIVALS).items():
        typer.echo(f"{name:36} {method}")


@app.command()
def apply(
    normalization: Annotated[Path, typer.Argument(help="JSON file written by `fit`.")],
    scene: Annotated[
        list[str], typer.Argument(help="One scene: a file, SAFE product, zip or address, or a file a band.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="GeoTIFF to write: float32, NaN where there is no data.")],
    names: Names = None,
    nodata: NodataAsFitted = None,
    offset: Offset = None,
    resolution: Resolution = None,
) -> None:
    """Apply a saved NORMALIZATION to a SCENE of any size."""
    from tqdm import tqdm

    from millpond.normalization.histogram import offset_of_scene, read_digital_numbers
    from millpond.normalization.transforms import Normalization
    from millpond.raster import open_raster, write_blocks
    from millpond.sentinel2 import lasting_tags

    fitted = Normalization.load(normalization)
    missing = fitted.nodata if nodata is None else _number(nodata)
    source = scene if len(scene) > 1 else scene[0]
    with open_raster(source, fitted.bands, names=listed(names), resolution_m=resolution) as raster:
        offset = offset_of_scene(raster, fitted.offset, offset)

        def blocks():
            for window in tqdm(raster.windows(), unit="block", disable=None):
                dn = read_digital_numbers(raster, window, missing)
                yield window, fitted.transform(dn, offset=offset).data

        known = "unknown" if offset is None else f"{offset:,}"
        tags = lasting_tags(raster) | {"NORMALIZATION": f"{fitted.name}, fitted on {fitted.source}"}
        write_blocks(out, blocks(), like=raster, bands=fitted.bands, inputs=[normalization, *raster.paths], tags=tags)
    typer.echo(f"{out}: {', '.join(fitted.bands)} by {fitted.name}, radiometric offset {known}")


@app.command()
def drift(
    normalization: Annotated[Path, typer.Argument(help="JSON file written by `fit`.")],
    scenes: Scenes,
    names: Names = None,
    nodata: NodataAsFitted = None,
    offset: Offset = None,
    harmonize: Annotated[bool, typer.Option(help="Bring scenes to offset 0 first.")] = False,
    resolution: Resolution = None,
) -> None:
    """Tell how far new SCENES are from what a NORMALIZATION was fitted on.

    Masks count as in `fit`. By band: `shift`, how far percentiles have moved on average, as a share of the fitted range
    from the 1st to the 99th; `median_change`, likewise with its sign; shares outside that range, 0.01 each if nothing
    has changed; and whether the band has `drifted`.
    """
    from millpond.normalization.transforms import Normalization

    fitted = Normalization.load(normalization)
    missing = fitted.nodata if nodata is None else _number(nodata)
    table = fitted.drift(_histogram(_files(scenes), fitted.bands, names, missing, offset, harmonize, resolution))
    typer.echo(table.to_string(float_format=lambda value: f"{value:.3f}"))


@app.command()
def stats(
    folder: Annotated[Path, typer.Argument(help="Folder with GeoTIFF patches, searched recursively.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file to write.")],
    by: Annotated[
        str, typer.Option(help="landcover, region, month, or several of them joined by a colon; separated by commas.")
    ] = "landcover,region,month,landcover:region",
    bands: Bands = "B02,B03,B04,B08",
    names: Names = None,
    nodata: Nodata = "0",
    offset: Offset = None,
    harmonize: Annotated[bool, typer.Option(help="Bring patches of unlike offsets to offset 0 first.")] = False,
    region_size: Annotated[str, typer.Option(help="Height and width of a region in degrees.")] = "5,10",
    one_date: Annotated[
        bool,
        typer.Option(help="Count one date of each place by landcover; landcover:region and all else count every date."),
    ] = False,
    max_masked: Annotated[float, typer.Option(min=0, max=1, help="Largest masked share of a patch.")] = 1.0,
) -> None:
    """Count the pixels of a FOLDER of patches by land cover, region and month.

    Beside NAME.tif there may be NAME_landcover.tif (codes of ESA WorldCover) and NAME_mask.tif (not zero: cloud or
    snow). The date is in the tag ACQUIRED or in the name; the tag LAND_COVER labels a whole patch. Patches of another
    size, or with other pixels, than most are skipped and listed in OUT.
    """
    from millpond.files import check_target
    from millpond.normalization.errors import NormalizationError
    from millpond.normalization.exploration import patch_statistics
    from millpond.normalization.patches import patch_files

    try:
        height, width = map(float, listed(region_size))
    except ValueError:
        raise NormalizationError(
            f"region size {region_size} found, two numbers such as 5,10 expected. State height and width in degrees."
        ) from None
    inputs = patch_files(folder)
    check_target(out, NormalizationError, inputs)
    statistics = patch_statistics(
        folder,
        listed(by),
        listed(bands),
        _number(nodata),
        region_size_deg=(height, width),
        one_date_per_place=one_date,
        max_masked=max_masked,
        names=listed(names),
        offset="auto" if offset is None else offset,
        harmonize=harmonize,
    )
    statistics.save(out, inputs)
    for grouping in statistics.by:
        table = statistics.table(grouping).sort_values("n_pixels", ascending=False)
        shown = table if grouping == "month" else table.head(12)
        columns = {"share": "{:.1%}".format, "n_pixels": "{:,}".format, "n_patches": "{:,}".format}
        typer.echo(shown.sort_index().to_string(index=False, formatters=columns))
        typer.echo(f"... and {len(table) - len(shown)} more\n" if len(shown) < len(table) else "")
    for reason, skipped in statistics.skipped.items():
        typer.echo(f"{len(skipped):,} skipped: {reason} ({skipped[0]})")
    typer.echo(
        f"{out}: {counted(statistics.n_patches, 'patch', 'patches')} of {counted(len(statistics.places), 'place')}"
    )


@app.command()
def numbers(
    scenes: Scenes,
    bands: Bands = "B02,B03,B04,B08",
    names: Names = None,
    nodata: Nodata = "0",
    offset: Offset = None,
    harmonize: Annotated[bool, typer.Option(help="Bring scenes of unlike offsets to offset 0 first.")] = False,
    percentiles: Annotated[str, typer.Option(help="Which, separated by commas.")] = "1,2,50,98,99",
    divisor: Annotated[
        float, typer.Option(help="Divide by it, such as 10000 for frameworks that read reflectance.")
    ] = 1,
    resolution: Resolution = None,
) -> None:
    """Print mean, standard deviation and percentiles of SCENES by band, as JSON for other frameworks."""
    import json

    import numpy as np

    histogram = _histogram(_files(scenes), listed(bands), names, _number(nodata), offset, harmonize, resolution)
    found = {"mean": histogram.mean, "std": histogram.std, "min": histogram.min, "max": histogram.max}
    found |= {f"p{q}": histogram.percentile(float(q)) for q in listed(percentiles)}
    told = {"bands": histogram.bands, "offset": histogram.offset, "divisor": divisor}
    told |= {"n_pixels": histogram.n_pixels.tolist()}
    told |= {name: np.divide(values, divisor).tolist() for name, values in found.items()}
    typer.echo("{" + ",\n ".join(f'"{name}": {json.dumps(value)}' for name, value in told.items()) + "}")


def _number(nodata: str) -> int | None:
    if nodata.lower() == "none":
        return None
    try:
        return int(nodata)
    except ValueError:
        raise typer.BadParameter(f"--nodata {nodata} found, a whole number or none expected.") from None


def _files(scenes: list[str]) -> list[str]:
    """The files of scenes, without labels and masks that lie beside them."""
    from millpond.normalization.errors import NormalizationError
    from millpond.normalization.patches import lies_beside
    from millpond.products import raster_files

    files = [file for source in scenes for file in raster_files(source)]
    kept = [file for file in files if not lies_beside(file)]
    if not kept:
        found = "labels or masks alone" if files else "no GeoTIFF or JPEG 2000"
        raise NormalizationError(f"{scenes[0]}: {found} found, a scene expected. Name others.")
    return kept


def _ranges(raster, nodata: int | None, beside: Path | None) -> dict[str, tuple]:
    """Share of valid pixels, smallest and largest value of each band, in blocks."""
    from contextlib import ExitStack

    import numpy as np
    from tqdm import tqdm

    from millpond.raster import check_same_grid, open_raster

    n_valid, lows, highs = np.zeros(len(raster.bands)), [], []
    with ExitStack() as stack:
        mask = None if beside is None else stack.enter_context(open_raster({"mask": beside}))
        if mask is not None:
            check_same_grid(raster, mask)
        for window in tqdm(raster.windows(), unit="block", disable=None):
            values = raster.read(window, masked=True)
            values = values if nodata is None else np.ma.masked_equal(values, nodata)
            if mask is not None:
                values = np.ma.masked_where(np.broadcast_to(mask.read(window) != 0, values.shape), values)
            flat = values.reshape(len(values), -1)
            n_valid += flat.count(axis=1)
            lows.append(flat.min(axis=1))
            highs.append(flat.max(axis=1))
    low, high = np.ma.stack(lows).min(axis=0), np.ma.stack(highs).max(axis=0)
    shares = n_valid / np.prod(raster.shape)
    return dict(zip(raster.bands, zip(shares, low, high, strict=True), strict=True))


def _histogram(files, bands, names, nodata, offset, harmonize, resolution):
    from millpond.normalization.histogram import BandHistogram, scenes_among
    from millpond.normalization.patches import mask_beside

    scenes = scenes_among(files, listed(names), resolution)
    masks = [None if isinstance(scene, list) else mask_beside(scene) for scene in scenes]
    n_masks = len(masks) - masks.count(None)
    if n_masks:
        typer.echo(f"masks of {n_masks:,} of {len(scenes):,} scenes found and used", err=True)
    return BandHistogram.from_rasters(
        scenes,
        bands,
        nodata,
        names=listed(names),
        masks=masks if n_masks else None,
        offset="auto" if offset is None else offset,
        harmonize=harmonize,
        resolution_m=resolution,
    )
