"""Metadata and dependencies. Beam's `--setup_file` asks for a file of this name."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "pipeline/__init__.py").read_text(), re.MULTILINE)

setup(
    name="gradcam-audit",
    version=VERSION.group(1),
    description="A batch audit that finds image classifiers which look at the wrong place",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["pipeline*", "transforms*", "demo*"]),
    package_data={"transforms.write": ["templates/*"], "transforms.write.report": ["templates/*"]},
    entry_points={"console_scripts": ["gradcam-audit = pipeline.cli:command"]},
    install_requires=[
        "apache-beam>=2.77,<3",  # the pipeline: one graph for one machine, Flink and Dataflow
        "tensorflow>=2.21,<3",  # runs the models and differentiates them
        "keras>=3.15,<4",  # loads them
        "numpy>=2.0,<3",  # maps and matrices
        "scipy>=1.15,<2",  # Student's t distribution
        "pillow>=11,<13",  # decodes images; its filters are what many models were trained with
        "pyarrow>=18",  # writes the Parquet tables
        "protobuf>=5",  # reads tf.train.Example without TensorFlow
        "google-crc32c>=1.5,<2",  # TFRecord checksums
        "defusedxml>=0.7,<1",  # reads XML from strangers
        "pydantic>=2.10,<3",  # the config as strict typed models
        "PyYAML>=6,<7",  # the config as text
        "Jinja2>=3.1,<4",  # the report and other pages, as templates that escape what they show
        "matplotlib>=3.10,<4",  # draws heatmaps over photos
        "rich>=13",  # tables and progress on the terminal
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.21,<3"],
        "gcp": ["apache-beam[gcp]>=2.77,<3"],
        "aws": ["apache-beam[aws]>=2.77,<3"],
        "stores": [  # emulators of gs:// and s3://, for make test-stores
            "apache-beam[aws,gcp]>=2.77,<3",
            "flask",
            "flask-cors",
            "gcp-storage-emulator",
            "moto[s3]",
        ],
        "tfds": ["tensorflow-datasets>=4.9,<5"],  # reads prepared directories as they declare themselves
        "dicom": ["pydicom>=3,<4"],  # reads DICOM images; those with compressed pixels need pylibjpeg besides
        "bench": ["matplotlib>=3.10,<4"],  # the picture of the validation page
        "dev": [
            "axe-playwright-python",  # the report is checked for accessibility
            "duckdb",  # the tables are tested through the readers that users have
            "html5lib",  # and for valid HTML
            "hypothesis",
            "mypy",
            "pandas",
            "playwright",  # the report is opened in a browser, where there is one
            "pydicom",
            "pytest",
            "pytest-timeout",
            "pytest-xdist",  # half the time on two cores
            "ruff",
            "scipy-stubs",
            "types-html5lib",
            "types-defusedxml",
            "types-protobuf",
            "types-PyYAML",
        ],
    },
)
