"""Examples of encoders of your own, to copy and change. `docs/encoders.md` shows how to use them."""
