"""`millpond normalize fields`: train a network that delineates fields, and turn your own scenes into parcels."""

import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

MAX_IMAGES = 2000
"""Training images that `fit` loads if not told otherwise: 2.4 GB, and a quarter of it for validation."""

PIXEL_M = 10

app = typer.Typer(rich_markup_mode=None)


Names = Annotated[str | None, typer.Option(help="Names for the bands of files that carry none, separated by commas.")]
Offset = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="Radiometric offset in the digital numbers (0 or 1000); by default from metadata, name or date.",
    ),
]


@app.callback(invoke_without_command=True)
def _fields(context: typer.Context) -> None:
    """Delineate fields: download AI4Boundaries, train a network, outline the parcels of a scene."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def download(
    folder: Annotated[Path, typer.Argument(help="Gets images, labels and the publisher's table.")],
    n: Annotated[int, typer.Option(min=1, help="Tiles, drawn at random; several MB each.")] = 100,
    split: Annotated[str | None, typer.Option(help="train, val or test; default: tiles of all.")] = None,
    countries: Annotated[str | None, typer.Option(help="Such as AT,ES; default: all seven.")] = None,
) -> None:
    """Download tiles of AI4Boundaries (Sentinel-2). The same command again goes on where it stopped."""
    from millpond.normalization.ai4boundaries_download import download_ai4boundaries

    found = download_ai4boundaries(folder, n, split=split, countries=listed(countries), progress=sys.stderr.isatty())
    told = f"; {found.n_without_address} tiles have no address" if found.n_without_address else ""
    typer.echo(f"{folder}: {found.n_pairs} tiles with labels, {found.n_new} files new{told}")


@app.command()
def fit(
    folder: Annotated[Path, typer.Argument(help="Images and labels in the layout of AI4Boundaries.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the model to; must be new.")],
    method: Annotated[str, typer.Option(help="One of the eight, see `millpond normalize methods`.")] = "p1-p99",
    epochs: Annotated[int, typer.Option(min=1, help="How often each image is seen.")] = 20,
    months: Annotated[str | None, typer.Option(help="Such as 4,6,8; default: all from March to August.")] = None,
    n: Annotated[
        int, typer.Option(min=1, help="Training images at most, drawn at random; 1.2 MB of memory each.")
    ] = MAX_IMAGES,
    seed: Annotated[
        int,
        typer.Option(min=0, help="Which images are drawn, first weights, and order: the same seed, the same network."),
    ] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in a step of training; memory grows with it.")] = 8,
    encoder: Annotated[str, typer.Option(help="As segmentation-models-pytorch names them.")] = "resnet18",
) -> None:
    """Fit normalization and network to the images in FOLDER, an image being a tile in a month.

    The split `train` trains; what `val` holds, up to a quarter of --n, tells how good the network is. Where no tile
    belongs to a split, all of them train. OUT.checkpoint is written after each epoch: the same command again goes on
    from there.
    """
    from millpond.normalization.delineation import FieldSegmenter
    from millpond.normalization.transforms import fit_normalization, method_named

    chosen = method_named(method)
    _check_folder(out)
    train, valid = _chosen(folder, _numbers(months), n, seed)
    dn, parcels, histogram = _loaded(train)
    normalization = fit_normalization(chosen, histogram, source=f"{len(train)} images of AI4Boundaries")
    del histogram
    validation = _loaded(valid)[:2] if len(valid) else None
    place = out.resolve()
    checkpoint = place.with_name(place.name + ".checkpoint")
    segmenter = FieldSegmenter(
        normalization,
        encoder=encoder,
        augmentation="dihedral",
        max_epochs=epochs,
        batch_size=batch_size,
        checkpoint=checkpoint,
        random_state=seed,
        progress=True,
    ).fit(dn, parcels, validation=validation)
    _save(segmenter, place)
    checkpoint.unlink(missing_ok=True)
    images, tiles = counted(len(train), "image"), counted(len(set(train.names)), "tile")
    typer.echo(
        f"{out}: {method}, {images} of {tiles}, {counted(epochs, 'epoch')}, boundary threshold "
        f"{segmenter.boundary_threshold_:g}"
    )
    if validation is None:
        typer.echo("No image of the split val found: how good the network is remains untold.")
        return
    last = segmenter.history_[-1]
    scores = "; ".join(
        f"{layer} IoU {last[f'valid_{layer}_iou']:.3f}, MCC {last[f'valid_{layer}_mcc']:.3f}"
        for layer in ("extent", "boundary")
    )
    typer.echo(f"Validation, {counted(len(valid), 'image')} of {counted(len(set(valid.names)), 'tile')}: {scores}")


@app.command()
def predict(
    scene: Annotated[
        list[str], typer.Argument(help="One scene of 10 m: a file, SAFE product, zip or address, or a file a band.")
    ],
    model: Annotated[Path, typer.Option(help="Folder written by `fit`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="GeoPackage to write: a parcel a row, with its area.")],
    probabilities: Annotated[
        Path | None, typer.Option(help="GeoTIFF to write too: extent, boundary and distance.")
    ] = None,
    names: Names = None,
    offset: Offset = None,
    smallest_ha: Annotated[float, typer.Option(min=0, help="Smaller parcels go to their neighbours.")] = 0.1,
    tile: Annotated[int, typer.Option(help="Side of the tiles in pixels, a multiple of 32.")] = 512,
) -> None:
    """Outline the parcels of a SCENE.

    A scene is read in tiles but cut into parcels as a whole, at about 30 bytes of memory a pixel.
    """
    from millpond.files import check_target
    from millpond.normalization.delineation import FieldSegmenter
    from millpond.normalization.errors import NormalizationError
    from millpond.normalization.histogram import DEFAULT_BANDS, offset_of_scene
    from millpond.normalization.polygons import parcel_polygons, parcels_of_scene, write_polygons
    from millpond.normalization.tiles import predict_scene
    from millpond.raster import open_raster

    check_target(out, NormalizationError, scene)
    if out.suffix.lower() != ".gpkg":
        raise NormalizationError(
            f"{out}: a name ending in {out.suffix or 'nothing'} found, .gpkg expected, as parcels are written as "
            "GeoPackage. Rename it."
        )
    if probabilities is not None:
        check_target(probabilities, NormalizationError, [*scene, out])
    segmenter = FieldSegmenter.load(model)
    fitted = segmenter.normalization
    with open_raster(
        scene if len(scene) > 1 else scene[0], fitted.bands if fitted else DEFAULT_BANDS, names=listed(names)
    ) as raster:
        if raster.crs is None:
            raise NormalizationError(
                f"{scene[0]}: no coordinate reference system found, one expected: without it parcels have no place and "
                "no area. Write it into the file (gdal_edit.py -a_srs EPSG:32633 FILE)."
            )
        if fitted is not None:
            offset = offset_of_scene(raster, fitted.offset, offset)
            _warn_of_drift(raster, fitted, offset)
        pixel_ha = _pixel_ha(raster)
        _warn_of_pixel_size(scene[0], pixel_ha)
        smallest = max(1, round(smallest_ha / pixel_ha))
        with _room_beside(out) as room:
            layers = probabilities or Path(room, "probabilities.tif")
            predict_scene(segmenter, raster, layers, tile=tile, offset=offset)
            if sys.stderr.isatty():
                typer.echo("cutting parcels ...", err=True)
            parcels, transform, crs = parcels_of_scene(
                layers, boundary_threshold=segmenter.boundary_threshold_, smallest=smallest
            )
    if not parcels.any():
        raise NormalizationError(
            f"{scene[0]}: no parcel found, at least one expected: nowhere are {smallest} adjoining pixels rather field "
            "than not. Look at --probabilities, and whether the scene is like what the network was trained on."
        )
    table = parcel_polygons(parcels, transform, crs)
    write_polygons(table, out, inputs=scene)
    typer.echo(f"{out}: {counted(len(table), 'parcel')}, median area {table['area_ha'].median():.2f} ha")


def counted(n: int, one: str, more: str | None = None) -> str:
    """A number and what it counts."""
    return f"{n:,} {one if n == 1 else more or one + 's'}"


def listed(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(","))


def _numbers(months: str | None) -> tuple[int, ...] | None:
    try:
        return None if months is None else tuple(map(int, listed(months)))
    except ValueError:
        raise typer.BadParameter(
            f"--months {months} found, numbers such as 4,6,8 expected. Separate them by commas."
        ) from None


def _room_beside(out: Path) -> TemporaryDirectory:
    """A folder for what isn't finished, on the disk of the output: a scene may be too large for another one."""
    from millpond.normalization.errors import NormalizationError

    try:
        return TemporaryDirectory(prefix=f"{out.name}.", dir=out.parent)
    except OSError as refusal:
        raise NormalizationError(
            f"{out}: not written ({refusal.strerror}), a writable folder with free space expected. Check both."
        ) from None


# ---- what fit needs


def _check_folder(out: Path) -> None:
    """Whether a model may be written there, before hours are spent on one; an older one took hours too, so it stays."""
    from millpond.normalization.errors import NormalizationError

    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists():
        found = "a folder that isn't empty" if out.is_dir() else "a file"
        raise NormalizationError(f"{out}: {found} found, a new folder for the model expected. Choose another name.")
    if not out.resolve().parent.is_dir():
        raise NormalizationError(
            f"{out}: no folder {out.parent} found, an existing one expected. Make it, or check the path."
        )


def _chosen(folder: Path, months: tuple[int, ...] | None, n: int, seed: int):
    """Training and validation images, drawn at random where there are more than wanted; what is left out is told."""
    import numpy as np

    from millpond.normalization.ai4boundaries import read_ai4boundaries
    from millpond.normalization.errors import NormalizationError

    images = read_ai4boundaries(folder, months=months)
    divided = (images.splits != "").any()
    train = images[images.splits == "train"] if divided else images
    if not len(train):
        raise NormalizationError(
            f"{folder}: {len(images):,} images found, none of them in the split train. Download some: millpond "
            f"normalize fields download {folder} --split train."
        )
    rng = np.random.default_rng(seed)
    chosen = []
    for told, some, most in (("training", train, n), ("validation", images[images.splits == "val"], max(1, n // 4))):
        # Shuffled, as the first ones choose the threshold of the boundary and should come from all countries.
        chosen.append(some[rng.permutation(len(some))[:most]])
        if len(some) > most:
            typer.echo(f"{len(some):,} {told} images found, {most:,} of them used (--n).", err=True)
    return chosen


def _loaded(images):
    """Digital numbers, parcels (-1 where an image has no data) and the histogram of all images."""
    import numpy as np
    from tqdm import tqdm

    from millpond.normalization.ai4boundaries import TILE_PIXELS
    from millpond.normalization.histogram import DEFAULT_BANDS, BandHistogram
    from millpond.normalization.targets import UNLABELLED

    dn = np.empty((len(images), len(DEFAULT_BANDS), TILE_PIXELS, TILE_PIXELS), np.uint16)
    parcels = np.empty((len(images), TILE_PIXELS, TILE_PIXELS), np.int32)
    total, done = None, 0
    with tqdm(total=len(images), unit="image", desc="reading", disable=None) as bar:
        for batch in images.batches():
            here = slice(done, done + len(batch.dn))
            dn[here] = batch.dn
            parcels[here] = np.where((batch.dn == 0).any(axis=1), UNLABELLED, batch.parcels)
            # 2019 lies before the processing baseline that has an offset
            more = BandHistogram.from_array(np.concatenate(list(batch.dn), axis=1), offset=0)
            total = more if total is None else total + more
            done = here.stop
            bar.update(len(batch.dn))
    return dn, parcels, total


def _save(segmenter, place: Path) -> None:
    """Write the model's folder in one step."""
    from millpond.normalization.errors import NormalizationError

    with _room_beside(place) as room:
        segmenter.save(Path(room, "model"))
        try:
            Path(room, "model").replace(place)
        except OSError as refusal:
            raise NormalizationError(
                f"{place}: not written ({refusal.strerror}), a new folder expected. Check the path; the same command "
                "then goes on from the checkpoint."
            ) from None


# ---- what predict needs


def _warn_of_drift(raster, fitted, offset: int | None) -> None:
    """Count the scene, and warn in one line if it isn't like what the normalization was fitted on."""
    from millpond.normalization.histogram import BandHistogram, read_digital_numbers
    from millpond.normalization.transforms import DriftWarning
    from millpond.sentinel2 import shifted

    shift = (fitted.offset or 0) - (offset or 0)
    total = None
    for window in raster.windows():
        dn = shifted(read_digital_numbers(raster, window, fitted.nodata), shift)
        more = BandHistogram.from_array(dn, raster.bands, None, offset=fitted.offset)
        total = more if total is None else total + more
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DriftWarning)  # a line a band; one for all is given below
        table = fitted.drift(total)
    moved = table[table["drifted"]]
    if len(moved):
        worst = moved["shift"].idxmax()
        shift, below, above = moved.loc[worst, ["shift", "share_below_p1", "share_above_p99"]]
        warnings.warn(
            f"{raster.paths[0]}: the scene isn't like the training images in {', '.join(moved.index)} ({worst} has "
            f"moved by {shift:.0%} of their p1-p99 range, and {below + above:.0%} of its pixels lie outside it, 2% "
            "expected). Look at the parcels before you use them, or train on imagery like the scene.",
            DriftWarning,
            stacklevel=2,
        )


def _warn_of_pixel_size(scene: Path, pixel_ha: float) -> None:
    side_m = (pixel_ha * 10_000) ** 0.5
    if abs(side_m / PIXEL_M - 1) > 0.1:
        warnings.warn(
            f"{scene}: pixels of {side_m:.3g} m found, {PIXEL_M} m expected as in AI4Boundaries: fields have another "
            "size in pixels than the network knows. Resample the scene, or look at the parcels before you use them.",
            stacklevel=2,
        )


def _pixel_ha(raster) -> float:
    """Area of the pixel amid a scene, on the ellipsoid: it may be in degrees, or of a projection not true to area."""
    import numpy as np
    from rasterio.transform import Affine

    from millpond.normalization.polygons import parcel_polygons

    rows, cols = raster.shape
    amid = raster.transform @ Affine.translation(cols // 2, rows // 2)
    return parcel_polygons(np.ones((1, 1), int), amid, raster.crs, tolerance=0)["area_ha"].item()
