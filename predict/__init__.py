"""Video files straight through a trained run: `avcil predict RUN VIDEO...`, and `avcil.load(run)` in Python.

Where a run looks in a clip: `avcil attention --run RUN --clip ID --out FILE`."""
