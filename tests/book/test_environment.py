"""pyproject.toml is the source: environment.yml names the same packages and ranges, and the lock satisfies them."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
CONDA_NAMES = {"pytorch-cpu": "torch", "playwright-python": "playwright"}
CONDA_ONLY = {"python", "pip", "editables", "hatchling"}  # the build tools stand in build-system, not in dependencies

NOT_IN_THE_BOOK = {"clouds"}  # s2cloudless and what it needs are large, and no chapter calls it


def project() -> dict[str, SpecifierSet]:
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = {name: lines for name, lines in tables["optional-dependencies"].items() if name not in NOT_IN_THE_BOOK}
    groups = [tables["dependencies"], *optional.values()]
    requirements = [Requirement(line) for group in groups for line in group]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in requirements}


def environment() -> dict[str, SpecifierSet]:
    lines = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    flat = [line for line in lines if isinstance(line, str)]
    flat += [line for group in lines if isinstance(group, dict) for line in group["pip"]]
    found = {}
    for line in flat:
        name, specifier = re.fullmatch(r"([\w.-]+?)\s*([<>=!~].*)?", line).groups()
        if name not in CONDA_ONLY:
            found[canonicalize_name(CONDA_NAMES.get(name, name))] = SpecifierSet(specifier or "")
    return found


def lock() -> dict[str, Requirement]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def test_conda_environment_names_the_same_packages_and_ranges():
    assert environment() == project()


def test_python_of_the_conda_environment_is_allowed():
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    python = next(
        line
        for line in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
        if str(line).startswith("python ")
    )
    assert python.split("=")[1] in SpecifierSet(tables["requires-python"])


def test_every_line_of_the_lock_is_one_exact_version():
    for name, requirement in lock().items():
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), name
        assert requirement.url is None, name


def test_lock_satisfies_the_project():
    locked = lock()
    for name, allowed in project().items():
        assert name in locked, f"{name} is not locked: run `make lock`"
        version = str(locked[name].specifier).removeprefix("==")
        assert allowed.contains(version, prereleases=True), f"{name} {version} is outside {allowed}: run `make lock`"


def test_lock_can_build_the_package_offline():
    assert {"hatchling", "editables"} <= lock().keys()


def test_cuda_packages_are_for_the_platform_that_has_them():
    for name, requirement in lock().items():
        if name.startswith(("nvidia-", "cuda-", "triton")):
            assert "linux" in str(requirement.marker), name
            assert "x86_64" in str(requirement.marker), name
