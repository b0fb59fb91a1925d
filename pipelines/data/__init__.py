"""Data for training: collected, cleaned, captioned, sorted into buckets; decoded only when a batch wants it."""
