"""The extract/encoders room."""
