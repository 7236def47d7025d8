"""Finds the packages: the repository root is `avcil`, which no setting in pyproject.toml can say of found ones."""

from setuptools import find_packages, setup

NOT_INSTALLED = ("build*", "benchmarks*", "docs*", "tests*")

setup(
    script_name="setup.py",  # so that it knows itself, and is no module of the package
    # The documents' examples go along, to be given to --plugin or copied.
    packages=["avcil", "avcil.examples", *(f"avcil.{found}" for found in find_packages(exclude=NOT_INSTALLED))],
)
