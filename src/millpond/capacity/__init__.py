"""How much water a small reservoir holds, from its terrain and its surface."""

from millpond.capacity.elm import ELMRegressor, PSOELMRegressor
from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import FACTORS, reservoir_factors
from millpond.capacity.swarm import ParticleSwarm
from millpond.capacity.terrain import FlowNetwork

__all__ = [
    "FACTORS",
    "CapacityError",
    "ELMRegressor",
    "FlowNetwork",
    "PSOELMRegressor",
    "ParticleSwarm",
    "reservoir_factors",
]
