"""Lakes in depressions: what comes into a depression that holds a lake drains to the lake.

Filling lets water cross a depression as if it were full. That is right where noise of the DEM made it, and wrong where
it is real and its lake lies low: behind a wall that the DEM shows, in a crater, a pit or a playa. There the flow over
the filled flat passes the lake by.
"""

import numpy as np
from scipy import ndimage

from millpond.capacity.terrain import FlowNetwork

BED_TOLERANCE_M = 3.0
"""Ground that is deeper than this below the bed of a lake isn't part of it, but gathers water of its own. Less may be
the DEM's noise, or bed that the outline leaves out."""


def drain_to_lakes(net: FlowNetwork, numbers: np.ndarray, bodies: np.ndarray) -> tuple[FlowNetwork, np.ndarray]:
    """Let depressions drain to the lakes in them.

    A lake lies in a depression if the way out is above its waterline, the highest ground under water. What comes into
    the depression then gathers at the lowest cell of the lake (of equal ones, the most central). Of several lakes in a
    depression the lowest comes first, then those that still lie in a depression; and before them the bottom of the
    depression, if it is far below their beds.

    Parameters
    ----------
    net : FlowNetwork
    numbers : (rows, cols) array of int
        Numbers of the water bodies from 1, on cells of the network; 0 where there is no water.
    bodies : (n,) array of int
        The numbers that count.

    Returns
    -------
    net : FlowNetwork
        The same if no lake lies in a depression.
    depression_m : (n,) array
        How far the way out is above the waterline; 0 in an open valley.
    """
    surface = net.surface_m
    waterline = np.array(ndimage.maximum(surface, numbers, bodies))
    places = ndimage.find_objects(numbers)
    found_m = None
    while True:
        depth_m = np.maximum(ndimage.minimum(net.filled_m, numbers, bodies) - waterline, 0)
        found_m = depth_m if found_m is None else found_m
        if not depth_m.any():
            return net, found_m
        beds = np.array([_bed(surface, numbers, body, places[body - 1]) for body in bodies[depth_m > 0]])
        depressions, _ = ndimage.label(net.filled_m > surface, np.ones((3, 3)))
        held_by = depressions.flat[beds]
        sinks = []
        for depression in np.unique(held_by):
            inside = beds[held_by == depression]
            bed = inside[surface.flat[inside].argmin()]
            bottom = np.ravel_multi_index(ndimage.minimum_position(surface, depressions, depression), net.shape)
            sinks.append(bottom if surface.flat[bottom] < surface.flat[bed] - BED_TOLERANCE_M else bed)
        net = net.with_sinks(np.array(sinks))


def _bed(surface: np.ndarray, numbers: np.ndarray, body: int, place: tuple[slice, slice]) -> int:
    """Flat index of the lowest cell of a lake, of equal ones the most central."""
    cells = np.argwhere(numbers[place] == body) + [side.start for side in place]
    height = surface[tuple(cells.T)]
    cells = cells[height == height.min()]
    return np.ravel_multi_index(cells[np.hypot(*(cells - cells.mean(0)).T).argmin()], numbers.shape)
