"""Stage 1: video files to a verified cache of frozen features. Console script `avcil-extract`.

    files -> worker processes that decode and prepare -> frozen encoders -> shards, written by a thread of their own

`decoding/`      frames and sound of a file, in worker processes that are killed at a deadline
`preparation/`   recipes: what is taken from a clip, and what the encoders get of it
`encoders/`      frozen models; one file a family
`released/`      the authors' feature files, read without unpickling
`choices`, `selection`, `pipeline`, `sink`   which files and shards, how they are made, who writes them
`config`, `assembly`, `notes`, `run`, `plan`, `repair`, `inspect`, `cli`   what a user chooses, and the commands

This file imports nothing: the worker processes come through here and have to stay light.
"""
