"""What menus offer, for schemas that may not load the engine behind it."""

JUDGE_ON = ("estimates", "drafts")  # of search.best_of
POTENTIALS = ("max", "difference", "sum")  # of search.steer
METHODS = ("zero-order", "random")  # of search.noise
CAPTION_SOURCES = ("sidecar", "sidecar or name", "name", "label", "lines", "model", "keep")  # of data.captions
