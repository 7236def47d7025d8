"""Video files straight through a trained run: `avcil predict RUN VIDEO...`, and `avcil.load(run)` in Python."""
