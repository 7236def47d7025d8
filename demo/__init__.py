"""A small data set of real video files, taken through both stages: `python -m avcil.demo --out DIR`."""
