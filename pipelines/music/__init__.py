"""Tunes: read, written bar by bar by a small model of our own, harmonised, played."""
