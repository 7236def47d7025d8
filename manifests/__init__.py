"""The manifests room."""
