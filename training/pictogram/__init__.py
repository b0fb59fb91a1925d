"""Train the embedded text-to-pictogram model from nothing. See README.md."""
