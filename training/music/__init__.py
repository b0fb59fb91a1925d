"""The model that writes tunes."""
