"""What `import avcil` offers by name: `open_cache`, `run`, `results`, `load`. Each is found when it is first used."""
