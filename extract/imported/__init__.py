"""Features that another program made, brought into a cache: numpy, PyTorch, safetensors, HDF5, and our own export."""
