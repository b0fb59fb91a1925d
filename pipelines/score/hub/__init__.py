"""Judges whose weights are on a hub: opened from files on this machine, never downloaded unasked.

Each is a port of the published arithmetic on plain transformers classes; `table.TABLE` is the list.
"""
