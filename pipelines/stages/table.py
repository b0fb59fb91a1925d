"""What differs from family to family, as rows. A new exception is a new row, never a branch in the stages."""

from __future__ import annotations

# encode_prompt returns negative and positive halves in one tensor; without guidance the positive half is meant.
CFG_CONCATENATED = {"StableAudioPipeline"}

# Their tail does more than `vae.decode` and a processor: decode by running the pipeline with an empty schedule.
TAIL_REPLAY = (
    "Allegro",
    "CosmosTextToWorld",
    "CosmosVideoToWorld",
    "Cosmos2",
    "SkyReelsV2Pipeline",
    "SkyReelsV2ImageToVideo",
    "SkyReelsV2DiffusionForcingVideoToVideo",
    "HunyuanVideoImageToVideo",
    "HunyuanSkyreels",
    "WanAnimate",
    "Helios",
    "HunyuanVideoFramepack",
    "Latte",
    "AceStep",
    "AudioLDM2",
    "MusicLDM",
)

# They hand reference pictures to the autoencoder along with the answer, which is the last of each row.
ANSWER_LAST = {"JoyImageEditPipeline"}

# The pipeline's own method that turns what the autoencoder gave into pictures, where it is not its processor's usual one.
PROCESSORS = {"LTX2HDRPipeline": ("hdr_video_processor", "postprocess_hdr_video")}

# The pipeline's own method that decodes its latents, where `vae.decode` sees them in pieces only.
OWN_DECODE = {"LTXI2VLongMultiPromptPipeline": "vae_decode_tiled"}

# Words of the encoders that tell them how large or long the result will be: Encode Prompt does not know it yet.
SIZES_ENCODED = ("grid_h", "grid_w", "audio_duration")

# How a pipeline names the method that draws its first noise.
PREPARES = ("prepare_latents", "prepare_intermediate_images")

# How it plans its steps, where it cannot plan none, and an empty plan.
PLANS = {"generate_timestep_matrix": ([], [], [], [])}

# They make a larger picture of the one that they are given; for others its size is the size of the result.
ENLARGES = {"IFSuperResolutionPipeline"}

# Parts that judge or mark finished pictures.
LEFT_OUT = {"safety_checker", "watermarker"}

# The text encoder is read again inside the denoising call.
TEXT_IN_SAMPLER = {"MotifVideoImage2VideoPipeline", "StableUnCLIPPipeline", "StableUnCLIPImg2ImgPipeline"}

# Autoencoders that decode in tiles only.
TILED = {"AutoencoderKLAllegro"}

# How a pipeline names the method that lays out the latents of a sound, made along with a video, for the sound's own decoder.
UNPACKS_SOUND = "_unpack_audio_latents"

# Frames a second that the family was trained for; used when neither the user nor the call says one.
FRAMES_PER_SECOND = (
    ("AnimateDiff", 8.0),
    ("StableVideoDiffusion", 7.0),
    ("CogVideoX", 8.0),
    ("Latte", 8.0),
    ("TextToVideoSD", 8.0),
    ("WanAnimate2", 24.0),
    ("Wan", 16.0),
    ("Echo", 25.0),
    ("SkyReels", 24.0),
    ("HunyuanVideo", 24.0),
    ("LTX2", 24.0),
    ("LTX", 25.0),
    ("Mochi", 30.0),
    ("Allegro", 15.0),
    ("Cosmos", 24.0),
)

# Denoisers by component name; any other diffusers module that is not an autoencoder serves encode and sample alike.
DENOISERS = {
    "transformer",
    "transformer_2",
    "unet",
    "unet_2",
    "prior",
    "decoder",
    "controlnet",
    "adapter",
    "motion_adapter",
}
# Parts of transformers that the denoising call runs itself.
BRIDGES = {"depth_estimator", "siglip"}
# Parts that write from the run's seed before anything is encoded, and the methods which do so: the sampler's alone.
SEEDED_PARTS = {"vision_language_encoder"}
SEEDED = ("generate_prior_tokens",)
# The same among blocks: what a modular pipeline calls such a step before its `denoise`.
SEEDED_BLOCKS = ("semantic_generator",)
DECODERS = {"vae", "vqvae", "movq", "vqgan", "vocoder", "audio_vae"}

# How a family names the number of frames of a video.
FRAMES = ("num_frames", "video_length")

# Call parameters whose default says how much of a long video is decoded at a time, and the dimension it is counted along
# in what `vae.decode` takes.
DECODED_BY = {"decode_chunk_size": 0, "num_latent_frames_per_chunk": 2, "latent_window_size": 2}

# How a family names its steps, where each stage of the schedule has its own number.
STEPS_BY_STAGE = ("pyramid_num_inference_steps_list",)

# How a family names the length of a sound in seconds.
SECONDS = ("audio_end_in_s", "audio_length_in_s", "audio_duration", "audio_duration_s", "duration")

# How a family names the sound that its result is made of, and is as long as.
SOUND_SOURCES = ("src_audio",)

# They make only whole latent cells of a sound's length, where others make one more for the rest.
WHOLE_CELLS = ("LongCatAudioDiT",)


def tail_replay(pipeline_class: str) -> bool:
    return pipeline_class.startswith(TAIL_REPLAY)


def frames_per_second(pipeline_class: str) -> float:
    """The family's own frame rate; 24 for a family without a row."""
    return next((fps for name, fps in FRAMES_PER_SECOND if pipeline_class.startswith(name)), 24.0)
