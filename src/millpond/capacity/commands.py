"""`millpond capacity`: from an image and a DEM to the capacity of your own reservoirs, and how sure that is."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

Out = Annotated[Path, typer.Option("--out", "-o", help="File to write: .csv, .gpkg or .geojson.")]
Reservoirs = Annotated[Path, typer.Argument(help="Table written by `factors`, or like it: .csv, .gpkg, .geojson.")]

Layer = Annotated[
    str | None, typer.Option(help="Layer with the reservoirs, if there are several and none is called like the file.")
]
Unit = Annotated[str, typer.Option(help="Of known capacities: hm3 (million m3), m3, ML (1,000 m3) or acre-ft.")]

PICTURES = (".png",)


@app.callback(invoke_without_command=True)
def _capacity(context: typer.Context) -> None:
    """Estimate the capacity of small reservoirs."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def water(
    image: Annotated[
        list[str], typer.Argument(help="One scene: a file, SAFE product, zip or address, or a file a band.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .gpkg or .geojson.")],
    method: Annotated[str, typer.Option(help="otsu (threshold of an index) or classify (training polygons).")] = "otsu",
    green: Annotated[str, typer.Option(help="Name of the green band.")] = "B03",
    infrared: Annotated[str, typer.Option(help="Name of the near or short-wave infrared band.")] = "B08",
    threshold: Annotated[float | None, typer.Option(help="Water is where the index is above; default: Otsu's.")] = None,
    training: Annotated[
        Path | None, typer.Option(help="Polygons with a column land_use, one of whose classes is water.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer with the training polygons, if there are several.")] = None,
    names: Annotated[
        str | None, typer.Option(help="Names for the bands of a file that carries none, separated by commas.")
    ] = None,
    scaling: Annotated[
        str | None,
        typer.Option(
            help="Of the digital numbers: sentinel-2, sentinel-2-with-offset or landsat-collection-2; "
            "default: what the file says."
        ),
    ] = None,
    resolution: Annotated[
        float | None, typer.Option(help="Pixel size in metres that bands of unlike ones are brought to.")
    ] = None,
    dem: Annotated[Path | None, typer.Option(help="DEM, to remove water that is mountain shadow.")] = None,
    sun_azimuth: Annotated[float | None, typer.Option(help="Degrees clockwise from north.")] = None,
    sun_elevation: Annotated[float | None, typer.Option(help="Degrees above the horizon.")] = None,
) -> None:
    """Outline the water bodies of an IMAGE."""
    import warnings

    from millpond import sentinel2
    from millpond.capacity.errors import CapacityError
    from millpond.capacity.factors import SMALLEST_WATER_KM2
    from millpond.capacity.tables import VECTORS, check_crs, encoded, writing
    from millpond.capacity.water import polygons_of, reflectance, water_by_index
    from millpond.raster import open_raster

    if method not in ("otsu", "classify") or (method == "classify") != (training is not None):
        raise typer.BadParameter("the method is otsu, or classify together with --training.")
    if len({dem is None, sun_azimuth is None, sun_elevation is None}) > 1:
        raise typer.BadParameter("mountain shadow needs all of --dem, --sun-azimuth and --sun-elevation.")
    with (
        writing((out, VECTORS[:2]), inputs=[*image, training, dem]) as (unfinished,),
        open_raster(
            image if len(image) > 1 else image[0],
            (green, infrared) if method == "otsu" else None,
            names=_split(names),
            resolution_m=resolution,
        ) as raster,
    ):
        check_crs(raster)
        if scaling is None:
            values, offset = sentinel2.reflectance(raster, raster.read(masked=True))
            if offset.doubt:
                warnings.warn(offset.doubt, stacklevel=1)
        else:
            values = reflectance(raster.read(masked=True), scaling)
        if method == "otsu":
            found, _, used = water_by_index(*values, threshold=threshold)
            how = f"index above {used:.3f}"
        else:
            found, how = _classified_water(values, training, layer, raster)
        if dem is not None:
            found, n_removed = _without_shadow(found, raster, dem, sun_azimuth, sun_elevation)
            how += f", {n_removed} removed as mountain shadow"
        polygons, n_dropped = polygons_of(found, raster.transform, raster.crs)
        if polygons.empty:
            raise CapacityError(
                f"{image[0]}: no water body of {SMALLEST_WATER_KM2} km2 or more found ({how}), one or more expected. "
                "Try another threshold or image."
            )
        unfinished.write_bytes(encoded(polygons.drop(columns="label").rename_axis("label"), out))
    typer.echo(f"{out}: {len(polygons)} water bodies ({how}); left out: {n_dropped} below {SMALLEST_WATER_KM2} km2")


@app.command()
def factors(
    dem: Annotated[Path, typer.Option(help="Ground elevation, in metres or in the unit that the file states.")],
    water: Annotated[
        Path, typer.Option(help="Water bodies: polygons, a mask of 0 and 1, or a raster of one label a body.")
    ],
    out: Out,
    freeboard: Annotated[float, typer.Option(help="Height of the crest above the waterline, in metres above 0.")] = 3.0,
    buffer: Annotated[
        float | None, typer.Option(help="Width in metres, above 0, of a buffer instead of all below the crest.")
    ] = None,
    nested: Annotated[
        str, typer.Option(metavar="cut|share", help="Whether a reservoir downstream shares what lies upstream.")
    ] = "cut",
    crest_column: Annotated[
        str | None, typer.Option(help="Column with the elevation of the crest in metres; blank: by --freeboard.")
    ] = None,
    elevation_unit: Annotated[
        str | None, typer.Option(help="Of the DEM, if it states none or a wrong one: m, ft, US survey foot ...")
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="Column that names the reservoirs.")] = None,
    reproject: Annotated[bool, typer.Option("--reproject", help="Bring water and streams onto the DEM.")] = False,
    streams: Annotated[Path | None, typer.Option(help="Lines that flow is made to follow.")] = None,
    layer: Layer = None,
    streams_layer: Annotated[str | None, typer.Option(help="Layer with the streams, if a file has several.")] = None,
    catchments: Annotated[
        bool, typer.Option("--catchments", help="Add the layers catchments and outlets to a .gpkg.")
    ] = False,
) -> None:
    """Measure the terrain factors of reservoirs. Other columns of the polygons stay in the table."""
    from millpond.capacity.factors import SMALLEST_WATER_KM2, catchment_shapes, factors_on_network
    from millpond.capacity.tables import (
        TABLES,
        check_crs,
        crests_m,
        encoded,
        flow_network,
        read_water,
        writing,
    )
    from millpond.capacity.terrain import check_memory
    from millpond.raster import open_raster

    if catchments and out.suffix.lower() != ".gpkg":
        raise typer.BadParameter("only a .gpkg file has several layers: leave out --catchments, or choose one.")
    if nested not in ("cut", "share"):
        raise typer.BadParameter("nested is cut or share.")
    if buffer is not None and crest_column is not None:
        raise typer.BadParameter("a --buffer of fixed width knows no crest: leave out --crest-column.")
    with (
        writing((out, TABLES), inputs=[dem, water, streams]) as (unfinished,),
        open_raster({"elevation": dem}) as raster,
    ):
        check_crs(raster)
        check_memory(raster.shape)
        found = read_water(water, raster, reproject=reproject, id_column=id_column, layer=layer)
        net = flow_network(raster, streams, reproject=reproject, layer=streams_layer, unit=elevation_unit)
        measured = factors_on_network(
            net,
            found.labels,
            found.areas_km2,
            crest_m=None if crest_column is None else crests_m(found.polygons, water, crest_column),
            freeboard_m=freeboard,
            buffer_m=buffer,
            nested=nested,
        )
        kept = found.polygons.iloc[measured.index - 1]
        n_small = measured.attrs["dropped"]
        n_elsewhere = len(found.polygons) - len(measured) - n_small
        measures = {name.lower() for name in measured}  # a GeoPackage ignores case
        replaced = [name for name in kept if name.lower() in measures]
        table = kept.drop(columns=replaced).join(measured.set_axis(kept.index))
        layers = {}
        if catchments:
            shapes = catchment_shapes(net, found.labels, measured, nested=nested)
            layers = {
                name: part.set_axis(kept.index) for name, part in zip(("catchments", "outlets"), shapes, strict=True)
            }
        unfinished.write_bytes(encoded(table, out, **layers))
    left_out = f"{found.n_dropped + n_small} below {SMALLEST_WATER_KM2} km2"
    left_out += f" and {n_elsewhere} not on the DEM" if n_elsewhere else ""
    typer.echo(
        f"{out}: {len(table)} reservoirs, {int(table['edge_contaminated'].sum())} edge-contaminated (their catchments "
        f"may reach beyond the DEM); left out: {left_out}"
        + (f"; columns replaced: {', '.join(replaced)}" if replaced else "")
    )


@app.command()
def fit(
    table: Reservoirs,
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file to write.")],
    capacity_column: Annotated[
        str, typer.Option(help="Known capacity; rows where it is blank are left out.")
    ] = "capacity_1e6_m3",
    capacity_unit: Unit = "hm3",
    model: Annotated[str, typer.Option(help="PSO-ELM, ELM or power law.")] = "PSO-ELM",
    features: Annotated[
        str | None, typer.Option(help="Factors, separated by commas; default: the study's best scenario.")
    ] = None,
    groups_column: Annotated[
        str | None,
        typer.Option(help="What reservoirs share: never on both sides of a fold. Default: basin, if there are enough."),
    ] = None,
    folds: Annotated[int, typer.Option(min=3, help="Parts of the reservoirs, each of which is held out once.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds and the networks.")] = 0,
    layer: Layer = None,
    plot: Annotated[Path | None, typer.Option(help="PNG: out-of-fold estimates against known capacities.")] = None,
) -> None:
    """Fit a model to reservoirs of known capacity, and tell how good it is on those that it hasn't seen.

    Edge-contaminated reservoirs are left out if a factor describes the catchment.
    """
    import pandas as pd

    from millpond.capacity.errors import CapacityError
    from millpond.capacity.estimation import CAPACITY, FEATURES, fit_capacity_model
    from millpond.capacity.tables import check_columns, in_million_m3, read_table, writing

    with writing((out, (".json",)), (plot, PICTURES), inputs=[table]) as (unfinished, picture):
        reservoirs = read_table(table, layer)
        check_columns(reservoirs, table, capacity_column, groups_column)
        if capacity_column == CAPACITY and "extrapolates" in reservoirs:
            raise CapacityError(
                f"{table}: estimated capacities found in {CAPACITY}, known ones expected. They are in known_1e6_m3, if "
                "there were any: use --capacity-column."
            )
        if capacity_column in (_split(features) or ()):
            raise CapacityError(f"{capacity_column} found among the factors, other columns expected. Leave it out.")
        capacity = reservoirs[capacity_column]
        known = reservoirs.assign(**{CAPACITY: in_million_m3(capacity, capacity_unit)})[capacity.notna()]
        if known.empty:
            raise CapacityError(f"{table}: no capacity in column {capacity_column} found, some expected. Fill it in.")
        if groups_column is None and "basin" in known:
            basins = known["basin"]
            groups_column = "basin" if basins.notna().all() and basins.nunique() >= folds else None

        def fit_to(rows, **what):
            groups = None if groups_column is None else rows[groups_column]
            return fit_capacity_model(rows, groups=groups, n_folds=folds, random_state=seed, **what)

        fitted = fit_to(known, features=_split(features) or FEATURES, model=model, progress=True)
        fits = {model: fitted}
        common_law = {"features": ("Aws_km2",), "model": "power law"}
        alike = known.loc[fitted.training.index]
        area_km2 = pd.to_numeric(alike.get("Aws_km2", pd.Series([0])), errors="coerce")
        if (fitted.features, model) != (*common_law.values(),) and (area_km2 > 0).all():
            fits["power law on Aws_km2"] = fit_to(alike, **common_law)
        grouped = f"whole groups of {groups_column}" if groups_column else "neighbours on both sides"
        text = (
            f"{model} on {', '.join(fitted.features)}; {len(known)} of {len(reservoirs)} rows have a capacity, "
            f"{len(alike)} train. Out-of-fold scores, {folds} folds, {grouped}:\n{_scores_table(fits)}"
        )
        fitted.save(unfinished)
        if picture is not None:
            from millpond.capacity.figures import scatter

            seen = fitted.training
            estimates = pd.DataFrame({CAPACITY: seen["out_of_fold_1e6_m3"], "extrapolates": ""})
            figure = scatter(seen[CAPACITY], estimates, x_label="known capacity (million m³)", diagonal=True)
            figure.savefig(picture, format="png", dpi=150)
    typer.echo(f"{out}: {text}")


@app.command()
def estimate(
    table: Reservoirs,
    model: Annotated[Path, typer.Option(help="JSON file written by `fit`.")],
    out: Out,
    coverage: Annotated[float, typer.Option(help="Share of capacities that intervals should hold.")] = 0.9,
    capacity_column: Annotated[
        str | None, typer.Option(help="Known capacity, which isn't estimated in the total. Default: capacity_1e6_m3.")
    ] = None,
    capacity_unit: Unit = "hm3",
    layer: Layer = None,
    map_: Annotated[Path | None, typer.Option("--map", help="PNG: reservoirs in the colour of their capacity.")] = None,
    dem: Annotated[Path | None, typer.Option(help="DEM to shade behind the map.")] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG: estimates and intervals against a factor.")] = None,
) -> None:
    """Estimate capacities, with intervals and a mark on extrapolations, and what those that aren't known hold together.

    capacity_1e6_m3 is a median, mean_1e6_m3 what adds up to a total. A known capacity stays in the column known_1e6_m3.
    """
    import geopandas as gpd

    from millpond.capacity.errors import CapacityError
    from millpond.capacity.estimation import CAPACITY, CapacityModel
    from millpond.capacity.tables import TABLES, check_columns, encoded, in_million_m3, read_table, writing

    if dem is not None and map_ is None:
        raise typer.BadParameter("--dem is the background of a --map.")
    outputs = (out, TABLES), (map_, PICTURES), (plot, PICTURES)
    with writing(*outputs, inputs=[table, model, dem]) as (unfinished, map_picture, picture):
        fitted = CapacityModel.load(model)
        reservoirs = read_table(table, layer)
        estimates = fitted.estimate(reservoirs, coverage)
        check_columns(reservoirs, table, capacity_column)
        if capacity_column is None and "extrapolates" not in reservoirs:  # else the capacity is an earlier estimate
            capacity_column = CAPACITY if CAPACITY in reservoirs else None
        if capacity_column is not None:
            if "known_1e6_m3" in reservoirs:
                raise CapacityError(
                    f"{table}: columns {capacity_column} and known_1e6_m3 found, one with the known capacity expected. "
                    "Rename or drop the other."
                )
            reservoirs["known_1e6_m3"] = in_million_m3(reservoirs[capacity_column], capacity_unit)
        asked = estimates[CAPACITY].notna()
        if "known_1e6_m3" in reservoirs:
            asked &= reservoirs["known_1e6_m3"].isna()
        total = fitted.total(reservoirs[asked], coverage) if asked.any() else None
        result = reservoirs.drop(columns=[name for name in reservoirs if name in estimates]).join(estimates)
        unfinished.write_bytes(encoded(result, out))
        if map_picture is not None:
            if not isinstance(result, gpd.GeoDataFrame):
                raise CapacityError(f"{table}: no positions found, shapes or columns lon and lat expected for a map.")
            _capacity_map(result, dem).savefig(map_picture, format="png", dpi=150)
        if picture is not None:
            import pandas as pd

            from millpond.capacity.figures import scatter

            factor = "Aws_km2" if "Aws_km2" in fitted.features else fitted.features[0]
            x = pd.to_numeric(result[factor], errors="coerce")
            scatter(x, estimates, x_label=factor).savefig(picture, format="png", dpi=150)
    n_outside = int((estimates["extrapolates"] != "").sum())
    text = (
        f"{out}: {estimates[CAPACITY].notna().sum()} capacities (medians) with intervals of {100 * coverage:g}%; "
        f"{n_outside} extrapolate, with factors outside the range of the training"
    )
    for reason, rows in estimates.groupby("reason"):
        if reason:
            text += f"; {len(rows)} {'in doubt' if rows[CAPACITY].notna().all() else 'without an estimate'} ({reason})"
    typer.echo(text)
    if total is not None:
        medians = estimates.loc[asked.to_numpy(), CAPACITY].sum()
        typer.echo(
            f"the {asked.sum()} without a known capacity hold {total.mean_1e6_m3:.4g} million m3 together, the sum of "
            f"mean_1e6_m3, with an interval of {total.low_1e6_m3:.4g} to {total.high_1e6_m3:.4g}; {CAPACITY} holds "
            f"medians, whose sum, {medians:.4g}, is no estimate of a total"
        )


@app.command()
def show(model: Annotated[Path, typer.Argument(help="JSON file written by `fit`.")]) -> None:
    """Tell what a MODEL consists of: its law or networks, and the reservoirs that trained it."""
    from millpond.capacity.estimation import CAPACITY, CapacityModel

    fitted = CapacityModel.load(model)
    training = fitted.training
    n_folds = len(fitted.parameters)
    typer.echo(
        f"{model}: {fitted.model} on {', '.join(fitted.features)}; {len(training)} reservoirs in {n_folds} folds"
    )
    law = fitted.law
    if law is None:
        sizes = [len(parameters["coef"]) for parameters in fitted.parameters]
        text = f"median of {n_folds} networks of {min(sizes)} to {max(sizes)} neurons"
    else:
        middle, low, high = (law.quantile(q).map("{:.4g}".format) for q in (0.5, 0, 1))
        powers = "".join(f" * {name}^{middle[name]}" for name in fitted.features)
        ranges = ", ".join(f"{name} {low[name]} to {high[name]}" for name in law)
        text = f"{middle['a']}{powers} (medians of the folds: {ranges})"
    typer.echo(f"{CAPACITY} = {text}; mean_1e6_m3 = {fitted.smearing_factor:.4g} * {CAPACITY}")
    ranges = training[[*fitted.features, CAPACITY]].agg(["min", "median", "max"]).T
    typer.echo(f"\nIn the training:\n{ranges.to_string(float_format='{:.4g}'.format)}")
    typer.echo(f"\nOut-of-fold scores:\n{_scores_table({fitted.model: fitted})}")


def _split(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(","))


def _classified_water(values, training, layer, raster):
    """Water by a classifier of all training polygons, and how well one did on polygons that were held out."""
    from millpond.capacity.errors import CapacityError
    from millpond.capacity.land_use import classify_land_use, confusion_matrix, split_polygons
    from millpond.capacity.tables import read_vector

    polygons, grid = read_vector(training, layer=layer), (raster.transform, raster.crs)
    classes, classifier = classify_land_use(values, polygons, *grid)
    names = [str(name) for name in classifier.classes_]
    if "water" not in names:
        raise CapacityError(f"{training}: classes {', '.join(names)} found, one called water expected. Name it so.")
    how = "classified"
    if polygons["land_use"].value_counts().min() > 1:
        part, held_out = split_polygons(polygons)
        tested = classify_land_use(values, part, *grid)
        counts = confusion_matrix(tested[0], tested[1].classes_, held_out, *grid)
        right = counts.loc["water", "water"]
        how += (
            f"; on held-out polygons {right / max(counts.loc['water'].sum(), 1):.0%} of the water was found, and "
            f"{right / max(counts['water'].sum(), 1):.0%} of what was called water was"
        )
    return classes == names.index("water"), how


def _without_shadow(found, image, dem, sun_azimuth_deg, sun_elevation_deg):
    """Water without bodies in mountain shadow, which mountains beyond the image may cast too."""
    import numpy as np
    from rasterio.enums import Resampling
    from rasterio.transform import Affine
    from rasterio.warp import reproject

    from millpond.capacity.errors import CapacityError
    from millpond.capacity.shadow import drop_shaded, mountain_shadow
    from millpond.capacity.tables import check_crs
    from millpond.capacity.terrain import cell_size_m, read_elevation
    from millpond.raster import open_raster

    if not (np.isfinite(sun_azimuth_deg) and np.isfinite(sun_elevation_deg)):
        raise CapacityError(
            f"a sun at {sun_azimuth_deg:g}, {sun_elevation_deg:g} degrees found, numbers expected. State both."
        )
    with open_raster({"elevation": dem}) as raster:
        check_crs(raster)
        elevation = read_elevation(raster)
        if np.isnan(elevation).all():
            raise CapacityError(f"{dem}: no cell with data found, elevations expected. Check its no-data value.")
        relief_m = np.nanmax(elevation) - np.nanmin(elevation)
    _, widths, heights = cell_size_m(image.shape, image.transform, image.crs)
    reach_m = relief_m / np.tan(np.radians(max(sun_elevation_deg, 1)))
    pad = min(int(reach_m / min(widths.min(), heights.min())) + 1, 4 * max(image.shape))
    transform = image.transform @ Affine.translation(-pad, -pad)
    ground = np.full([n + 2 * pad for n in image.shape], np.nan, np.float32)
    to_image = {"dst_transform": transform, "dst_crs": image.crs, "resampling": Resampling.bilinear}
    reproject(elevation, ground, src_transform=raster.transform, src_crs=raster.crs, src_nodata=np.nan, **to_image)
    shadow = mountain_shadow(
        ground,
        transform,
        image.crs,
        sun_azimuth_deg=sun_azimuth_deg,
        sun_elevation_deg=sun_elevation_deg,
    )
    rows, cols = image.shape
    return drop_shaded(found, shadow[pad : pad + rows, pad : pad + cols])


def _capacity_map(reservoirs, dem):
    from millpond.capacity.figures import capacity_map
    from millpond.capacity.tables import check_crs
    from millpond.raster import open_raster

    if dem is None:
        return capacity_map(reservoirs)
    with open_raster({"elevation": dem}) as raster:
        check_crs(raster)
        return capacity_map(reservoirs, raster)


def _scores_table(fits) -> str:
    import pandas as pd

    columns = {
        "r2_log": ("R2 of logs", "{:.2f}"),
        "r2": ("R2", "{:.2f}"),
        "r_squared": ("squared correlation", "{:.2f}"),
        "median_ape_percent": ("median error", "{:.0f} %"),
        "mape_percent": ("mean error", "{:.0f} %"),
    }
    found = pd.DataFrame({name: fitted.scores for name, fitted in fits.items()}).T
    table = pd.DataFrame({head: found[key].map(form.format) for key, (head, form) in columns.items()})
    return table.to_string(col_space=[len(head) + 2 for head in table])
