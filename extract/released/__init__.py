"""The feature files that the authors of AV-CIL published, read without unpickling."""
