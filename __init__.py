"""Audio-visual class-incremental learning in two stages.

    videos --(extract)--> cache <--(incremental)--> tables, figures, weights
               ^                         ^
               +------- manifests -------+

`manifests`     what there is to learn: clips, labels, splits, class order, tasks.
`cache`         the contract between the stages: verified shards of frozen features.
`extract`       stage 1: decode, prepare, encode, write. Console script `avcil-extract`.
`incremental`   stage 2: memory, heads, losses, methods, trainer, metrics. Console script `avcil-incr`.
`predict`       video files straight through a trained run: `avcil predict`.
`demo`          a small data set of real video files, taken through both stages.
"""

__version__ = "0.2.0"
