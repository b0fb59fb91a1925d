"""What menus offer, for schemas that may not load the engine behind it."""

JUDGE_ON = ("estimates", "drafts")  # of search.best_of
POTENTIALS = ("max", "difference", "sum")  # of search.steer
METHODS = ("zero-order", "random")  # of search.noise
CAPTION_SOURCES = ("sidecar", "sidecar or name", "name", "label", "lines", "model", "keep")  # of data.captions
GANS = ("stylegan2", "r3gan", "dcgan")  # kinds of pipelines.gan
SIDES = (32, 64, 128, 256, 512, 1024)
ADVERSARIAL = ("relativistic", "non-saturating")  # rows of pipelines.train.losses
AUGMENTATIONS = ("adaptive", "always", "none")
NOISES = ("random", "const", "none")  # of gan.network
SPACES = ("w+", "w", "z")  # of gan.project
DIRECTIONS = ("sefa", "pca")  # of gan.directions
LORA_TARGETS = ("attention", "linear", "linear and convolution")  # of pipelines.train.adapters
LEVEL_DENSITIES = ("uniform", "logit-normal")  # of pipelines.train.lora
VAES = ("tiny", "kl")  # kinds of train.autoencoders
FACTORS = (2, 4, 8, 16, 32)
DENOISERS = ("unet", "dit")  # kinds of train.denoisers
OBJECTIVES = ("flow", "v", "epsilon")  # of train.diffusion
ENDS = ("longest", "first")  # of media.mixing
PEAKS = ("limit", "keep")  # of media.loudness
MOTIONS = ("zoom in", "zoom out", "pan left", "pan right", "sway", "bounce", "spin", "appear")  # of models/motion
WAYS = ("straight", "sphere")  # of stages.walking
TONES = ("sine", "sweep", "pluck", "noise")  # of media.tones
