"""One measure a file: a docstring whose first line says what is measured, and `measure()` that yields figures."""
