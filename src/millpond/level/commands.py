"""`millpond level`: from dated images and a gauge record to levels of other dates, and how sure they are."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Scenes = Annotated[Path, typer.Option(help="Folder with a GeoTIFF a date, whose name holds the date.")]
Model = Annotated[Path, typer.Option(help="Folder written by `fit`.")]
Area = Annotated[
    Path | None,
    typer.Option(
        help="Polygon of the reservoir, or GeoTIFF of water occurrence in percent; water counts in it and 100 m around."
    ),
]
MaxCloud = Annotated[float, typer.Option(min=0, max=1, help="Largest cloudy share of the water and its shores.")]
NoMask = Annotated[bool, typer.Option("--no-mask", help="The images have no band that tells clouds: take all.")]
Coarser = Annotated[int, typer.Option(min=1, help="Average so many pixels along each edge.")]
Coverage = Annotated[float, typer.Option(help="Share of levels that intervals should hold.")]


@app.callback(invoke_without_command=True)
def _level(context: typer.Context) -> None:
    """Read water levels off satellite images of one reservoir."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def fit(
    scenes: Scenes,
    levels: Annotated[Path, typer.Option(help="Gauge record: CDEC, USGS, ECCC, or a CSV of date and level.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the model to.")],
    model: Annotated[
        str, typer.Option(help="shore (where the water is), curve (area against level) or network (ResNet-34).")
    ] = "shore",
    attention: Annotated[str | None, typer.Option(help="Of the network: channel or channel-spatial.")] = None,
    bands: Annotated[str, typer.Option(help="Separated by commas; VV and VH are backscatter in dB.")] = "B03,B08",
    unit: Annotated[str | None, typer.Option(help="m, cm or ft, if the record doesn't say.")] = None,
    date_column: Annotated[str | None, typer.Option(help="Its name in the record, if that can't be told.")] = None,
    level_column: Annotated[str | None, typer.Option(help="The same of the levels.")] = None,
    separator: Annotated[str | None, typer.Option(help="Between the record's cells.")] = None,
    decimal: Annotated[str | None, typer.Option(help="Decimal mark of the record: . or ,")] = None,
    day_first: Annotated[
        bool | None, typer.Option("--day-first/--month-first", help="How the record's dates such as 03/07/2018 begin.")
    ] = None,
    area: Area = None,
    max_cloud: MaxCloud = 0.1,
    no_mask: NoMask = False,
    orbit: Annotated[str | None, typer.Option(help="Of radar; default: the one of most images.")] = None,
    tolerance_days: Annotated[int, typer.Option(min=0, help="A day without a level takes one so near.")] = 0,
    coarser: Coarser = 1,
    folds: Annotated[
        int, typer.Option(min=3, help="Parts of whole blocks of 30 days, each of which is held out once.")
    ] = 5,
    epochs: Annotated[int, typer.Option(min=1, help="Of the network.")] = 40,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Fit a model to scenes with levels, and tell how good it is on blocks of 30 days that it hasn't seen."""
    from millpond.level.estimation import BLOCK_DAYS, MODELS, NETWORK, check_folder, fit_level_model
    from millpond.level.gauges import read_gauge
    from millpond.level.scenes import read_scenes

    if model not in MODELS:
        raise typer.BadParameter(f"--model {model} found, one of {', '.join(MODELS)} expected.")
    if model != NETWORK and attention is not None:
        raise typer.BadParameter("--attention belongs to --model network.")
    record = read_gauge(
        levels,
        unit,
        date_column=date_column,
        level_column=level_column,
        separator=separator,
        decimal=decimal,
        day_first=day_first,
    )
    found = read_scenes(
        scenes.parent,
        scenes.name,
        _split(bands),
        record,
        None if no_mask else max_cloud,
        area=area,
        tolerance_days=tolerance_days,
        orbit=orbit,
    ).coarse(coarser)
    check_folder(out)
    typer.echo(_read(record))
    settings = {"max_epochs": epochs, "progress": True} if model == NETWORK else {}
    fitted = fit_level_model(found, model, n_folds=folds, attention=attention, random_state=seed, **settings)
    fitted.save(out)
    typer.echo(f"{out}: {model} on {len(found)} scenes, {_dropped(found.dropped)}")
    scores = fitted.scores
    typer.echo(
        f"Out-of-fold, {folds} folds of whole blocks of {BLOCK_DAYS} days: R2 {scores['r2']:.3f}, RMSE "
        f"{scores['rmse_m']:.2f} m, MAE {scores['mae_m']:.2f} m; levels from {found.level_m.min():.2f} to "
        f"{found.level_m.max():.2f} m"
    )


@app.command()
def predict(
    scenes: Scenes,
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="CSV file to write.")],
    area: Area = None,
    max_cloud: MaxCloud = 0.1,
    no_mask: NoMask = False,
    coverage: Coverage = 0.9,
) -> None:
    """Estimate the level of every scene, with an interval, or say why not."""
    from millpond.files import write_text
    from millpond.level.errors import LevelError

    _check_file(out)
    table, _ = _estimates(scenes, model, area, None if no_mask else max_cloud, coverage)
    write_text(out, table.to_csv(float_format="%.4f"), LevelError)
    typer.echo(f"{out}: {_told(table, coverage)}")


@app.command()
def report(
    scenes: Scenes,
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write estimates.csv and estimates.png to.")],
    area: Area = None,
    max_cloud: MaxCloud = 0.1,
    no_mask: NoMask = False,
    coverage: Coverage = 0.9,
) -> None:
    """As `predict`, with a picture of the series and of area against level."""
    from millpond.files import make_folder, replacing, write_text
    from millpond.level.errors import LevelError
    from millpond.level.figures import level_figure

    _check_file(out / _TABLE)
    table, fitted = _estimates(scenes, model, area, None if no_mask else max_cloud, coverage)
    make_folder(out, LevelError)
    write_text(out / _TABLE, table.to_csv(float_format="%.4f"), LevelError)
    with replacing(out / "estimates.png", LevelError) as unfinished:
        level_figure(table, fitted.training).savefig(unfinished, format="png", dpi=150)
    typer.echo(f"{out}: {_TABLE} and estimates.png; {_told(table, coverage)}")


@app.command()
def download(
    first: Annotated[str, typer.Option("--from", help="First day, as 2019-01-01.")],
    last: Annotated[str, typer.Option("--to", help="Last day.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the reservoir.")],
    reservoir: Annotated[str | None, typer.Option(help="One of the study's: BHC BIL GLL LYS MCR ARR CTR.")] = None,
    lon: Annotated[float | None, typer.Option(help="Of the centre, in degrees.")] = None,
    lat: Annotated[float | None, typer.Option(help="Of the centre, in degrees.")] = None,
    half_width_m: Annotated[float, typer.Option(help="Of the square around the centre.")] = 2000.0,
    area: Annotated[Path | None, typer.Option(help="Polygon of the reservoir, instead of a centre.")] = None,
    sensor: Annotated[str, typer.Option(help="sentinel2_l2a, sentinel1_rtc, or none.")] = "sentinel2_l2a",
    gauge: Annotated[
        str | None, typer.Option(help="cdec:ID, usgs:ID or eccc:ID, or none; default: what we know of --reservoir.")
    ] = None,
    max_cloud: Annotated[float, typer.Option(min=0, max=1, help="Largest share of clouds in the whole tile.")] = 1.0,
    orbit: Annotated[
        int | None,
        typer.Option(help="Relative orbit of Sentinel-1; default: that which covers the place on most days."),
    ] = None,
    catalog: Annotated[
        str | None,
        typer.Option(
            help="Address of a STAC API, as https://earth-search.aws.element84.com/v1; default: Planetary Computer."
        ),
    ] = None,
    collection: Annotated[str | None, typer.Option(help="In it; default: sentinel-2-l2a or sentinel-1-rtc.")] = None,
) -> None:
    """Download images and levels for `fit`. The same command again goes on where it stopped.

    Images go to OUT/sentinel2_l2a or OUT/sentinel1_rtc, a file a day, levels to OUT/levels.csv. A levels.csv of your
    own, or one that you changed, is kept. The study took Sentinel-1 GRD as Google Earth Engine prepares it; RTC,
    corrected for the terrain's radiometry too, is the nearest open product.
    """
    from millpond.level.download_levels import download_levels
    from millpond.level.download_scenes import PLANETARY_COMPUTER, download_scenes
    from millpond.level.reservoirs import reservoir as record_of

    record = None if reservoir is None else record_of(reservoir)
    if [record, lon, area].count(None) != 2 or (lon is None) != (lat is None):
        raise typer.BadParameter("name the place once: --reservoir, --lon and --lat, or --area.")
    if record is not None:
        gauge = gauge or (record.station and f"{record.agency}:{record.station}")
        if record.note:
            typer.echo(f"{record.name}: {record.note}", err=True)
    if gauge not in (None, "none"):
        agency, _, station = gauge.partition(":")
        if not station:
            raise typer.BadParameter(f"--gauge {gauge} found, agency and station, as cdec:LYS, or none expected.")
        levels = out / "levels.csv"
        record_m = download_levels(agency, station, levels, first, last)
        told = {"new": "", "kept": ", was there", "own": f", was there; kept as your own, so {gauge} was not asked"}
        typer.echo(_read(record_m) + told[record_m.attrs["origin"]])
    if sensor != "none":
        found = download_scenes(
            area or ((lon, lat) if record is None else record.place),
            out,
            sensor,
            first,
            last,
            half_width_m=half_width_m,
            max_cloud=max_cloud,
            orbit=orbit,
            catalog=catalog or PLANETARY_COMPUTER,
            collection=collection,
            progress=True,
        )
        told = f"{len(found.written)} dates written, {len(found.kept)} were there, {found.cloudy} too cloudy"
        told += "".join(f"; none for {n} ({reason})" for reason, n in Counter(found.unusable.values()).items())
        typer.echo(f"{out / sensor}: {told}" + ("" if found.orbit is None else f"; relative orbit {found.orbit}"))


_TABLE = "estimates.csv"
_COLUMNS = ["level_m", "low_m", "high_m", "area_km2", "in_training", "abstains"]


def _check_file(path: Path) -> None:
    """Nothing but older estimates is overwritten: a gauge record looks much the same, and can't be had again."""
    from millpond.level.errors import LevelError

    if path.is_file():
        with open(path, encoding="utf-8", errors="replace") as file:
            head = file.readline().strip()
        if head != ",".join(["date", *_COLUMNS]):
            raise LevelError(
                f"{path}: a file with {head[:60]!r} found, none or older estimates expected. Choose another."
            )


def _estimates(scenes: Path, model: Path, area: Path | None, max_cloud: float | None, coverage: float):
    """By date, those included whose images could not be used; and the model."""
    import pandas as pd

    from millpond.level.estimation import LevelModel
    from millpond.level.scenes import read_scenes

    fitted = LevelModel.load(model)
    found = read_scenes(
        scenes.parent,
        scenes.name,
        fitted.bands,
        None,
        max_cloud,
        area=area,
        may_be_empty=True,
        wet_share=fitted.wet_share,
        orbit=fitted.orbit,
    )
    found = found.coarse(max(1, round(fitted.pixel_m[0] / found.pixel_m[0])))
    fitted.check(found)  # images of another lake are no spoiled ones of this
    refused = found.dropped.set_index("date")["reason"].rename("abstains").to_frame()
    if not len(found):
        return refused.reindex(columns=_COLUMNS), fitted
    table = fitted.estimate(found, coverage)
    return pd.concat([table, refused]).sort_index(kind="stable").rename_axis("date"), fitted


def _told(table, coverage: float) -> str:
    reasons = table["abstains"][table["abstains"] != ""].value_counts()
    told = f"{int((table['abstains'] == '').sum())} levels with intervals of {100 * coverage:g}%"
    return told + (
        f"; none for {', '.join(f'{n} ({reason})' for reason, n in reasons.items())}" if len(reasons) else ""
    )


def _read(record) -> str:
    """How a gauge record was understood."""
    missing = f"; {record.attrs['n_missing']} rows without a level" if record.attrs["n_missing"] else ""
    days = f"{len(record)} days from {record.index[0]:%Y-%m-%d} to {record.index[-1]:%Y-%m-%d}"
    return (
        f"{record.attrs['path']}: {days}, {record.min():.2f} to {record.max():.2f} m ({record.attrs['read']}){missing}"
    )


def _dropped(dropped) -> str:
    reasons = dropped["reason"].value_counts()
    told = ", ".join(f"{n} ({reason})" for reason, n in reasons.items())
    return f"{len(dropped)} left out" + (f": {told}" if told else "")


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))
