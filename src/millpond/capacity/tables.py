"""A user's files: tables of reservoirs, with or without outlines, and what is laid onto a DEM.

Files are read and written by their suffix. A table's rows are named by its column `label` where there is one, so that a
message or a map can say which reservoir it means. A CSV keeps the position of a reservoir as longitude and latitude of
a point inside it.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.features import rasterize

from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import SMALLEST_WATER_KM2, check_bodies, known_labels, rasterized
from millpond.capacity.inventory import MILLION_M3_PER_ACRE_FOOT
from millpond.capacity.terrain import FlowNetwork, place_on_earth, read_elevation, recondition
from millpond.capacity.water import polygons_of
from millpond.files import replacing
from millpond.raster import Raster, RasterError, check_same_grid, open_raster, read_onto

TABLES = (".csv", ".gpkg", ".geojson")
VECTORS = (".gpkg", ".geojson", ".shp")

UNITS_1E6_M3 = {"hm3": 1.0, "m3": 1e-6, "ML": 1e-3, "acre-ft": MILLION_M3_PER_ACRE_FOOT}

_DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON"}
_DEGREES = "EPSG:4326"


def read_table(path: str | Path, layer: str | None = None) -> pd.DataFrame:
    """Read a CSV file, or what `read_vector` reads.

    Returns
    -------
    DataFrame or GeoDataFrame
        Of points where a CSV has the columns `lon` and `lat`. Indexed by `label` if its labels are unique, else from 1.

    Raises
    ------
    CapacityError
        If the file is missing, unreadable, empty or of another kind.
    """
    path = Path(path)
    if path.suffix.lower() != ".csv":
        return read_vector(path, (*TABLES, ".shp"), layer)
    _check_is_file(path)
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise CapacityError(f"{path}: no table found ({error}), comma-separated values expected. Check it.") from error
    _check_rows(table, path)
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes what is too much for an index, and shifts all names
        raise CapacityError(
            f"{path}: rows with more fields than names found, as many expected. Check commas at the end."
        )
    table = labelled(table)
    if {"lon", "lat"} <= {*table} and table[["lon", "lat"]].notna().all(axis=None):
        try:
            points = gpd.points_from_xy(table["lon"], table["lat"], crs=_DEGREES)
        except ValueError as error:
            raise CapacityError(
                f"{path}: lon and lat that are no numbers found ({error}), degrees such as 14.5 expected. Correct them."
            ) from error
        return gpd.GeoDataFrame(table.drop(columns=["lon", "lat"]), geometry=points)
    return table


def read_vector(
    path: str | Path, suffixes: tuple[str, ...] = VECTORS, layer: str | None = None, option: str = "--layer"
) -> gpd.GeoDataFrame:
    """Read shapes and their attributes.

    Parameters
    ----------
    path : path
    suffixes : tuple of str
        Kinds of files that are taken.
    layer : str, optional
        Needed if the file has several layers of shapes, and none named as the file.
    option : str
        How a user of the command names it.

    Returns
    -------
    GeoDataFrame
        Indexed as by `read_table`.

    Raises
    ------
    CapacityError
        If the file is missing, unreadable, empty or of another kind, has several layers or none of the name, a row has
        no shape, or there is no coordinate reference system.
    """
    path = Path(path)
    _check_suffix(path, suffixes)
    _check_is_file(path)
    try:
        layers = [name for name, geometry in pyogrio.list_layers(path) if geometry is not None]
        if layer is None and path.stem in layers:  # as `encoded` and ogr2ogr name the first
            layer = path.stem
        layer = path.stem if layer is None and path.stem in layers else layer
        if layer not in layers and (layer is not None or len(layers) > 1):
            wanted = "one of them" if layer is None else layer
            raise CapacityError(f"{path}: layers {', '.join(layers)} found, {wanted} expected. Name one by {option}.")
        table = gpd.read_file(path, layer=layer or (layers[0] if layers else None))
    except (DataSourceError, OSError, ValueError) as error:
        raise CapacityError(
            f"{path}: no readable shapes found ({error}), a complete GeoPackage, GeoJSON or shapefile expected. "
            "Check that it is what its name says."
        ) from error
    _check_rows(table, path)
    table = labelled(table)
    if not isinstance(table, gpd.GeoDataFrame):
        raise CapacityError(f"{path}: a table without shapes found, shapes expected. Choose another file.")
    gaps = table.geometry.isna() | table.geometry.is_empty
    if gaps.any():
        raise CapacityError(f"{path}: no shape in row {table.index[gaps][0]} found, one in each row expected. Drop it.")
    if table.crs is None:
        raise CapacityError(f"{path}: no coordinate reference system found, one expected. Set it (ogr2ogr -a_srs).")
    return table


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """The table indexed by `label` if its labels are unique, else from 1."""
    if "label" in table and table["label"].is_unique and table["label"].notna().all():
        return table.set_index("label")
    return table.set_axis(range(1, len(table) + 1))


class Water(NamedTuple):
    """Water bodies on a DEM.

    Attributes
    ----------
    polygons : GeoDataFrame
        In the DEM's reference system, indexed by `label`.
    labels : (rows, cols) int32 array
        From 1, in the order of the polygons; 0 where there is no water.
    areas_km2 : dict of label to float, optional
        Where they are known better than from cells.
    n_dropped : int
        Bodies left out since they are below `SMALLEST_WATER_KM2`.
    """

    polygons: gpd.GeoDataFrame
    labels: np.ndarray
    areas_km2: dict[int, float] | None
    n_dropped: int


def read_water(
    path: Path, dem: Raster, *, reproject: bool, id_column: str | None = None, layer: str | None = None
) -> Water:
    """Read water bodies from polygons, or outline those of a raster.

    Parameters
    ----------
    path : path
        Polygons, or a raster: of labels, whole numbers above 0 for water, or a mask, where touching cells are a body.
    dem : Raster
    reproject : bool
        Bring them onto the DEM where they differ.
    id_column : str, optional
        Column with the labels of polygons.
    layer : str, optional
        Of a file with several.

    Raises
    ------
    CapacityError
        If the file is unusable, differs from the DEM, or has no water on it.
    """
    if path.suffix.lower() in VECTORS:
        polygons = _onto(read_vector(path, layer=layer), path, dem, reproject)
        others = sorted({*polygons.geom_type} - {"Polygon", "MultiPolygon"})
        if others:
            raise CapacityError(f"{path}: {', '.join(others)} found, polygons expected. Outline the water.")
        id_column = id_column or ("label" if "label" in polygons else None)
        if id_column is not None and id_column != polygons.index.name:
            check_columns(polygons, path, id_column)
            polygons = labelled(polygons.reset_index(drop=True).assign(label=polygons[id_column].to_numpy()))
            if polygons.index.name is None:
                raise CapacityError(f"{path}: gaps or repetitions in {id_column} found, a name for each row expected.")
        return Water(_named(polygons), *rasterized(polygons, dem), 0)
    for name, what in ((id_column, "a column"), (layer, "a layer")):
        if name is not None:
            raise CapacityError(f"{path}: a raster found, polygons expected, with {what} {name}. Outline it.")
    found = _read_labels(path, dem, reproject)
    values, codes = np.unique(found, return_inverse=True)
    codes = codes.reshape(dem.shape) - np.searchsorted(values, 0, side="right") + 1  # from 1, 0 and less are land
    has_labels = (values > 0).sum() > 1  # else it is a mask, whose bodies are told apart by their place
    if has_labels:
        check_bodies(found)
    smallest = 0 if has_labels else SMALLEST_WATER_KM2  # a label's parts count together
    polygons, n_dropped = polygons_of(codes, dem.transform, dem.crs, smallest)
    if polygons.empty:
        raise CapacityError(
            f"{path}: no water body of {SMALLEST_WATER_KM2} km2 or more found on the DEM, one or more expected. Check "
            "that both cover the same place, and that water is not 0."
        )
    polygons = polygons.drop(columns="area_km2")
    if has_labels:
        polygons["label"] = values[values > 0][polygons["label"] - 1]
        polygons = polygons.dissolve("label", as_index=False)
    polygons = labelled(polygons).sort_index()
    shapes = zip(polygons.geometry, range(1, len(polygons) + 1), strict=True)
    labels = rasterize(shapes, dem.shape, transform=dem.transform, dtype="int32")
    return Water(_named(polygons), labels, None, n_dropped)


def crests_m(polygons: gpd.GeoDataFrame, path: Path, column: str) -> dict[int, float]:
    """Elevation of the crests that are known, by number of the polygon from 1.

    Raises
    ------
    CapacityError
        If there is no such column, or it holds words.
    """
    check_columns(polygons, path, column)
    try:
        values = pd.to_numeric(polygons[column])
    except (TypeError, ValueError) as error:
        raise CapacityError(f"{path}: {column} with {error} found, metres or blanks expected. Correct it.") from error
    return values.set_axis(range(1, len(values) + 1)).dropna().to_dict()


def flow_network(
    dem: Raster,
    streams: Path | None = None,
    *,
    reproject: bool = False,
    layer: str | None = None,
    unit: str | None = None,
) -> FlowNetwork:
    """Flow network of a DEM; with `streams`, a file of lines, directions follow them and heights stay the ground's.

    `layer` names that of the streams in a file with several; `unit` is that of elevations if the DEM doesn't state it.

    Raises
    ------
    CapacityError
        If the DEM or the streams are unusable.
    """
    elevation, bent = read_elevation(dem, unit), None
    if streams is not None:
        lines = _onto(read_vector(streams, layer=layer, option="--streams-layer"), streams, dem, reproject)
        burnt = rasterize(lines.geometry, dem.shape, transform=dem.transform, all_touched=True, dtype="uint8") > 0
        bent = recondition(elevation, burnt)
    return FlowNetwork.from_dem(elevation, transform=dem.transform, crs=dem.crs, surface_m=bent)


def in_million_m3(capacity: pd.Series, unit: str) -> pd.Series:
    """Capacities of a table; NaN for blanks and words.

    Raises
    ------
    CapacityError
        If there is no such unit.
    """
    if unit not in UNITS_1E6_M3:
        raise CapacityError(f"capacity unit {unit!r} found, one of {', '.join(UNITS_1E6_M3)} expected.")
    return pd.to_numeric(capacity, errors="coerce") * UNITS_1E6_M3[unit]


def check_crs(raster: Raster) -> None:
    """Refuse a raster that doesn't say where it is."""
    try:
        place_on_earth(raster.crs)
    except CapacityError as error:
        raise CapacityError(f"{raster.paths[0]}: {error}") from None


def check_columns(table: pd.DataFrame, path: Path, *names: str | None) -> None:
    """Refuse a table without one of the columns; None is no column."""
    missing = [name for name in names if name is not None and name not in table]
    if missing:
        raise CapacityError(
            f"{path}: columns {', '.join(map(str, table))} found, {', '.join(missing)} missing. Name one that is there."
        )


@contextmanager
def writing(
    *outputs: tuple[Path | None, tuple[str, ...]], inputs: Iterable[str | Path | None]
) -> Iterator[list[Path | None]]:
    """Temporary paths for outputs, which appear together if the block ends well, and not at all if it doesn't.

    Whatever is wrong with an output is told before the block begins.

    Parameters
    ----------
    *outputs : (path, suffixes)
        The files to be written and the suffixes that they may have; a path may be None.
    inputs : iterable of path
        Files that are being read and must not be overwritten; may hold None.
    """
    read = [path for path in inputs if path is not None]
    with ExitStack() as stack:
        unfinished = []
        seen = set()
        for path, suffixes in outputs:
            if path is not None:
                _check_suffix(path, suffixes)
                if path.resolve() in seen:
                    raise CapacityError(f"{path}: named for two outputs, two files expected. Choose another name.")
                seen.add(path.resolve())
            unfinished.append(path and stack.enter_context(replacing(path, CapacityError, read)))
        yield unfinished


def encoded(table: pd.DataFrame, path: str | Path, **layers: gpd.GeoDataFrame) -> bytes:
    """The content of a file `path` with this table, and with more layers if it is a GeoPackage.

    GeoJSON is in longitude and latitude, as its standard wants (RFC 7946), a GeoPackage in the table's own reference
    system. Made elsewhere, so that no database is ever left half-written.

    Raises
    ------
    CapacityError
        If the file is to hold shapes and the table has none.
    """
    path = Path(path)
    has_shapes = isinstance(table, gpd.GeoDataFrame)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        if has_shapes:
            inside = table.geometry.representative_point().to_crs(_DEGREES)
            table = pd.DataFrame(table.drop(columns=table.geometry.name))
            table = table.drop(columns=["lon", "lat"], errors="ignore")
            table.insert(0, "lon", inside.x.round(6))
            table.insert(1, "lat", inside.y.round(6))
        return table.to_csv(index=table.index.name is not None, lineterminator="\n").encode()
    if not has_shapes:
        raise CapacityError(
            f"{path}: a table without positions can't be a {suffix} file. Choose .csv, or add columns lon and lat."
        )
    if suffix == ".geojson":
        table = table.to_crs(_DEGREES)
    table = table.drop(columns=[name for name in table if name.lower() == "fid"])  # the format's own row number
    try:
        with TemporaryDirectory() as folder:
            content = Path(folder) / f"table{suffix}"
            for name, part in ({path.stem: table} | layers).items():
                part.reset_index(drop=part.index.name is None).to_file(content, driver=_DRIVERS[suffix], layer=name)
            return content.read_bytes()
    except DataLayerError as error:
        raise CapacityError(
            f"{path}: columns that a {suffix} file can't hold found ({error}), names that differ by more than case and "
            "none called geom expected. Rename them, or choose .csv."
        ) from error


def _check_suffix(path: Path, suffixes: tuple[str, ...]) -> None:
    if path.suffix.lower() not in suffixes:
        raise CapacityError(
            f"{path}: suffix {path.suffix or '(none)'} found, {' or '.join(suffixes)} expected. Choose another name."
        )


def _check_rows(table: pd.DataFrame, path: Path) -> None:
    if table.empty:
        raise CapacityError(f"{path}: no rows found, one or more expected. Check how the file was made.")


def _check_is_file(path: Path) -> None:
    if not path.is_file():
        raise CapacityError(f"{path}: no such file found, a table expected. Check the path.")


def _named(polygons: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return polygons.drop(columns="label", errors="ignore").rename_axis("label")


def _onto(shapes: gpd.GeoDataFrame, path: Path, dem: Raster, reproject: bool) -> gpd.GeoDataFrame:
    """Shapes in the DEM's reference system."""
    if not reproject and shapes.crs != dem.crs:
        raise CapacityError(
            f"{path}: {shapes.crs} found, {dem.crs} as of the DEM expected. Reproject it, here by --reproject."
        )
    return shapes.to_crs(dem.crs)


def _read_labels(path: Path, dem: Raster, reproject: bool) -> np.ndarray:
    """(rows, cols) values on the DEM's grid, 0 where there are no data."""
    with open_raster({"water": path}) as raster:
        check_crs(raster)
        if reproject:
            values = read_onto(path, dem)
        else:
            try:
                check_same_grid(dem, raster)
            except RasterError as error:
                raise CapacityError(f"{error} Here: --reproject.") from error
            values = raster.read(masked=True)[0]
        values = known_labels(values)
        if (values % 1 != 0).any():
            raise CapacityError(f"{path}: fractions found, whole numbers expected: labels or a mask. Round them.")
        return values
