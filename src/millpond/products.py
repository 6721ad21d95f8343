"""Which files make a scene: SAFE folders and zips as ESA distributes them, one file a band, addresses, GDAL's names.

A scene is given to `millpond.raster.open_raster` as the name of a file, or as a mapping of band to file. What isn't a
local file (`https://...`, `s3://...`, `/vsizip/...`, `netcdf:cube.nc:B02`) is left to GDAL as it stands.
"""

import glob
import os
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from millpond.errors import RasterError

BESIDE_THE_BANDS = ("TCI", "AOT", "WVP", "SCL", "PVI")
"""Layers of a product that are no bands, and read only if asked for: picture, aerosol, vapour, classes, preview."""

RASTER_ENDINGS = (".tif", ".tiff", ".jp2")

_LAYER_IN_NAME = re.compile(
    r"(?:^|[_.\-:])(B\d{1,2}A?|VV|VH|HH|HV|" + "|".join(BESIDE_THE_BANDS) + r")(?:_(\d\d)m)?(?=[_.\-]|$)", re.IGNORECASE
)
_FOLDER_OF_RESOLUTION = re.compile(r"R\d\dm")
_BAND = re.compile(r"[Bb](\d{1,2})([Aa]?)(?:, central wavelength.*)?")  # the latter as GDAL describes Sentinel-2's
_NOMINAL_M = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B01": 60, "B09": 60, "B10": 60}
_DRIVER_OR_SCHEME = re.compile(r"[A-Za-z][\w+\-]+:")

Scene = str | Mapping[str, str]


def band_name(text: str) -> str:
    """Sentinel-2's names have two digits: `b2` and `B2` become `B02`; other names stay as they are."""
    match = _BAND.fullmatch(text)
    if not match:
        return text
    digits, letter = match.groups()
    return f"B{int(digits)}A" if letter else f"B{int(digits):02d}"


def is_local(name: str | Path) -> bool:
    """Whether a name is that of a file or folder here, and not an address or a name that GDAL knows."""
    return not (str(name).startswith("/vsi") or (_DRIVER_OR_SCHEME.match(str(name)) and not os.path.exists(name)))


def layer_in_name(name: str | Path) -> str | None:
    """The band that a file's name ends with, such as B03 in `T33UUU_20220607T101611_B03_10m.jp2`."""
    match = _last_layer(name)
    return match and band_name(match[1])


def raster_files(source: str | Path) -> list[str]:
    """The rasters of a folder, a SAFE product or a zip, by their names; what is none of these stands for itself.

    Of a product the images alone: no preview, no quality masks.

    Raises
    ------
    RasterError
        If a zip can't be read.
    """
    name = str(source)
    if not is_local(name):
        return [name]
    path = Path(name)
    if path.name.startswith("MTD_MSIL") and path.suffix == ".xml":
        path = path.parent
    if path.is_dir():
        # unlike Path.rglob it follows links to folders, and passes over macOS's ._name.tif
        found = glob.iglob(f"{glob.escape(str(path))}/**", recursive=True)
        return sorted(str(Path(file)) for file in found if _is_image(file) and os.path.isfile(file))
    if path.suffix.lower() == ".zip" and path.exists():
        try:
            members = zipfile.ZipFile(path).namelist()
        except (OSError, zipfile.BadZipFile) as error:
            raise RasterError(f"{path}: no zip found ({error}), a product or rasters in one expected.") from None
        return sorted(f"/vsizip/{path.resolve()}/{member}" for member in members if _is_image(member))
    return [name]


def scenes_of(files: Iterable[str | Path], resolution_m: float | None = None) -> list[Scene]:
    """Put files together that hold a band each of one scene: named alike but for the band, in one folder or product.

    Parameters
    ----------
    files : iterable of path
        A file counts once, however often and by whatever link it is named.
    resolution_m : float, optional
        Where a product holds a band at several resolutions, take the nearest; by default the finest.

    Returns
    -------
    list of str or dict of band to str
        In the order of the files.
    """
    once = {os.path.realpath(file) if is_local(file) else str(file): str(file) for file in reversed(list(files))}
    scenes: dict[str, dict[str, list[tuple[float, str]]]] = {}
    for file in reversed(once.values()):
        match = _last_layer(file)
        band = band_name(match[1]) if match else ""
        pixel_m = float(match[2] or _NOMINAL_M.get(band, 20)) if match else 0.0
        scenes.setdefault(scene_name(file) if match else file, {}).setdefault(band, []).append((pixel_m, file))
    found: list[Scene] = []
    for bands in scenes.values():
        if sum(map(len, bands.values())) == 1:
            found += [file for ((_, file),) in bands.values()]
        else:
            wanted = resolution_m or 0
            found.append({band: min(some, key=lambda one: abs(one[0] - wanted))[1] for band, some in bands.items()})
    return found


def scene_name(file: str | Path) -> str:
    """A file's path without ending, band and resolution: the same for all bands of a scene."""
    path, stem, match = PurePosixPath(str(file)), _stem(file), _last_layer(file)
    stem = stem if match is None else stem[: match.start()] + stem[match.end() :]
    folder = path.parent.parent if _FOLDER_OF_RESOLUTION.fullmatch(path.parent.name) else path.parent
    return str(folder / (stem or "_"))


def _last_layer(file: str | Path) -> re.Match | None:
    return next(reversed(list(_LAYER_IN_NAME.finditer(_stem(file)))), None)


def _stem(file: str | Path) -> str:
    return re.sub(r"\.\w{2,4}$", "", str(file).rsplit("/", 1)[-1])  # of netcdf:cube.nc:B02 all


def _is_image(name: str) -> bool:
    parts = PurePosixPath(name).parts
    in_product = any(part.endswith(".SAFE") for part in parts) or "GRANULE" in parts
    return name.lower().endswith(RASTER_ENDINGS) and ("IMG_DATA" in parts or not in_product)
