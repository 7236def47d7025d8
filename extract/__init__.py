"""Stage 1: video files to a verified cache of frozen features. Console script `avcil-extract`.

    files -> children that decode and prepare -> frozen encoders -> shards, written by a thread of their own

`recipes`, `preparation`         what is taken from a clip, and what the encoders get of it
`frame_index`, `frames`, `jpeg`, `sound`, `decode`   files, in the children only
`workers`, `child`               the children: killed at a deadline, replaced when they die
`encoders`                       frozen models; one file a family
`selection`, `pipeline`, `sink`  which shards, how they are made, who writes them
`run`, `plan`, `look`, `released`, `cli`   the commands

This file imports nothing: the children come through here and have to stay light.
"""
