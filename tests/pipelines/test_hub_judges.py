# Long: each hub judge against its published arithmetic, one test a judge
"""Hub judges: the released files, opened by our code, give what the published arithmetic gives, said again here.

Pictures that are 8 bit and of the judge's own size pass its transform unchanged, so that scores compare tightly; what a
transform does to other sizes is compared in test_hub_pictures.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from pipelines.payloads import Discriminator
from pipelines.runtime import Runtime
from pipelines.score import judges, scoring
from pipelines.score.hub.table import TABLE
from pipelines.sources import Roots

from . import hub_judges

CPU = Runtime("cpu")
PROMPTS = ("a cat on mars", "red dog", "an astronaut riding the horse")


def eight_bit(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """IMAGE [B, H, W, 3] of whole steps of 1/255, smooth enough to have edges and areas."""
    small = torch.rand(count, 3, height // 4 + 1, width // 4 + 1, generator=torch.Generator().manual_seed(seed))
    fine = F.interpolate(small, (height, width), mode="bilinear").movedim(1, -1)
    return (fine * 255).round() / 255


def pil(image: torch.Tensor) -> list[Image.Image]:
    return [Image.fromarray((one * 255).round().byte().numpy()) for one in image]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub") / "judges"


def opened(judge: str, folder: Path) -> Discriminator:
    return judges.open_discriminator(judge, roots=Roots(judges=(folder,)))


def scored(judge: Discriminator, given, prompts=PROMPTS) -> tuple[torch.Tensor, torch.Tensor]:
    found = scoring.score(judge, given, prompts=prompts if judge.spec.needs_prompt else (), runtime=CPU)
    return torch.tensor(found.values), torch.tensor(found.raw)


def close(found: torch.Tensor, expected: torch.Tensor, within: float = 1e-4) -> bool:
    return torch.allclose(found.float(), expected.float(), atol=within, rtol=within)


def clip_cosines(model, folder: Path, image: torch.Tensor, prompts) -> torch.Tensor:
    """Cosines by CLIPProcessor's own parts and the model's own forward."""
    from transformers import CLIPImageProcessor, CLIPTokenizer

    pixels = CLIPImageProcessor.from_pretrained(folder)(pil(image), return_tensors="pt")["pixel_values"]
    words = CLIPTokenizer.from_pretrained(folder)(list(prompts), padding=True, max_length=77, return_tensors="pt")
    out = model(pixel_values=pixels, **words)
    return (out.image_embeds * out.text_embeds).sum(-1)


@torch.no_grad()
def test_clipscore_is_two_and_a_half_cosines_and_not_below_0(folder):
    own = folder / "openai--clip-vit-base-patch32"
    model, image = hub_judges.clip(own), eight_bit(3, 28, 28)
    said = [f"A photo depicts {prompt}" for prompt in PROMPTS]
    cosine = clip_cosines(model, own, image, said)
    values, raw = scored(opened("clipscore", folder), image)
    assert close(values, 2.5 * cosine) and close(raw, 2.5 * cosine.clamp_min(0))
    # turned round, the towers disagree, and the published score is 0
    model.visual_projection.weight.mul_(-1)
    model.save_pretrained(own)
    values, raw = scored(opened("clipscore", folder), image)
    assert close(values, -2.5 * cosine) and close(raw, (-2.5 * cosine).clamp_min(0))


@torch.no_grad()
def test_pickscore_is_the_scaled_cosine(folder):
    own = folder / "PickScore_v1"
    model, image = hub_judges.clip(own), eight_bit(3, 28, 28)
    values, raw = scored(opened("pickscore", folder), image)
    assert close(values, model.logit_scale.exp() * clip_cosines(model, own, image, PROMPTS)) and torch.equal(
        values, raw
    )


@torch.no_grad()
def test_siglip_adds_a_bias_and_shows_a_probability(folder):
    from transformers import AutoTokenizer, SiglipImageProcessor

    own = folder / "google--siglip2-so400m-patch14-384"
    model, image = hub_judges.siglip(own), eight_bit(3, 28, 28)
    pixels = SiglipImageProcessor.from_pretrained(own)(pil(image), return_tensors="pt")["pixel_values"]
    words = AutoTokenizer.from_pretrained(own)(list(PROMPTS), padding="max_length", max_length=64, return_tensors="pt")
    expected = model(pixel_values=pixels, input_ids=words["input_ids"]).logits_per_image.diagonal()
    values, raw = scored(opened("siglip2", folder), image, [prompt.upper() for prompt in PROMPTS])
    assert close(values, expected) and close(raw, expected.sigmoid())


@torch.no_grad()
def test_hpsv2_reads_openclips_names_and_gives_the_bare_cosine(folder):
    model, image = hub_judges.hpsv2(folder / "HPSv2"), eight_bit(3, 28, 28)
    expected = clip_cosines(model, folder / "HPSv2" / "clip", image, PROMPTS)
    assert close(scored(opened("hpsv2.1", folder), image)[0], expected)


@torch.no_grad()
def test_imagereward_reads_blips_names_and_standardises(folder):
    from transformers import BertTokenizer

    vision, text, head = hub_judges.imagereward(folder / "ImageReward")
    image = eight_bit(3, 32, 32)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (hub_judges.CLIP_MEAN, hub_judges.CLIP_STD))
    seen = vision(pixel_values=(image.movedim(-1, 1) - mean) / std).last_hidden_state
    tokens = BertTokenizer.from_pretrained(folder / "ImageReward")
    words = tokens(list(PROMPTS), padding="max_length", truncation=True, max_length=35, return_tensors="pt")
    hidden = text(
        input_ids=words["input_ids"],
        attention_mask=words["attention_mask"],
        encoder_hidden_states=seen,
        is_decoder=False,
    ).last_hidden_state[:, 0]
    for number in (0, 2, 4, 6, 7):
        hidden = hidden @ head[f"layers.{number}.weight"].T + head[f"layers.{number}.bias"]
    expected = (hidden[:, 0] - 0.16717362830052426) / 1.0333394966054072
    assert close(scored(opened("imagereward", folder), image)[0], expected)


@torch.no_grad()
def test_laions_predictor_is_linear_on_the_unit_embedding(folder):
    model = hub_judges.clip(folder / "openai--clip-vit-large-patch14")
    head, image = hub_judges.linears(16, 0, 2, 4, 6, 7), eight_bit(3, 28, 28)
    torch.save(head, folder / "sac+logos+ava1-l14-linearMSE.pth")
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (hub_judges.CLIP_MEAN, hub_judges.CLIP_STD))
    embedding = model.get_image_features(pixel_values=(image.movedim(-1, 1) - mean) / std).pooler_output
    x = embedding / embedding.norm(dim=-1, keepdim=True)
    for number in (0, 2, 4, 6, 7):
        x = x @ head[f"layers.{number}.weight"].T + head[f"layers.{number}.bias"]
    assert close(scored(opened("laion-aesthetic", folder), image)[0], x[:, 0])


@torch.no_grad()
def test_hpsv3_reads_old_names_counts_positions_and_gives_the_mean(folder):
    from transformers import Qwen2VLProcessor

    base = folder / "Qwen--Qwen2-VL-7B-Instruct"
    model, head = hub_judges.hpsv3(folder / "HPSv3", base)
    image = eight_bit(2, 448, 448)  # 256 * 28 * 28 pixels: the size that every picture gets
    judge = opened("hpsv3", folder)
    processor = Qwen2VLProcessor.from_pretrained(base)
    processor.tokenizer.add_special_tokens({"additional_special_tokens": ["<|Reward|>"]})
    reward = processor.tokenizer.convert_tokens_to_ids("<|Reward|>")
    question = (Path(judges.__file__).parent / "hub" / "hpsv3_question.txt").read_text("utf-8")
    expected = []
    for picture, prompt in zip(pil(image), PROMPTS):
        content = [{"type": "image"}, {"type": "text", "text": question.format(text_prompt=prompt)}]
        said = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        given = processor(text=[said], images=[picture], return_tensors="pt")
        places = torch.arange(given["input_ids"].shape[1]).expand(3, 1, -1)
        out = model(**given, position_ids=places, output_hidden_states=True)
        hidden = out.hidden_states[-1][given["input_ids"] == reward]
        hidden = (hidden @ head["rm_head.0.weight"].T + head["rm_head.0.bias"]).relu()
        hidden = (hidden @ head["rm_head.3.weight"].T + head["rm_head.3.bias"]).relu()
        expected.append((hidden @ head["rm_head.5.weight"].T + head["rm_head.5.bias"])[0, 0])
    values, _ = scored(judge, image, PROMPTS[:2])
    assert close(values, torch.stack(expected), 2e-3) and values[0] != values[1]
    assert question.count("{") == 1 and question.endswith("<|Reward|>\n\nEND\n")


@torch.no_grad()
def test_vqascore_is_the_probability_of_yes(folder):
    from transformers import Qwen2VLProcessor

    own = folder / "some-model"
    model, processor = hub_judges.qwen(own), Qwen2VLProcessor.from_pretrained(own)
    image, expected = eight_bit(2, 56, 84), []
    for picture, prompt in zip(pil(image), PROMPTS):
        question = f'Does this figure show "{prompt}"? Please answer yes or no.'
        content = [{"type": "image"}, {"type": "text", "text": question}]
        said = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        given = processor(text=[said], images=[picture], return_tensors="pt")
        out = model.generate(
            **given, max_new_tokens=1, do_sample=False, output_scores=True, return_dict_in_generate=True
        )
        yes = processor.tokenizer("Yes", add_special_tokens=False)["input_ids"][0]
        expected.append(out.scores[0].softmax(-1)[0, yes])
    values, raw = scored(opened("vqascore:some-model", folder), image, PROMPTS[:2])
    assert close(raw, torch.stack(expected), 1e-5) and close(values, torch.stack(expected).logit(), 1e-3)
    assert "vqascore:some-model" in judges.names(Roots(judges=(folder,)))


@torch.no_grad()
def test_audiobox_reads_wavlms_names_and_weighs_pieces_by_their_length(folder):
    wavlm, head, values = hub_judges.audiobox(folder / "audiobox-aesthetics")
    sound = 0.3 * torch.randn(2, 16000 * 13, generator=torch.Generator().manual_seed(0))
    # 13 s are a piece of 10 s and one of 3 s, padded with silence that is masked
    pieces = [(sound[:, :160000], None), (F.pad(sound[:, 160000:], (0, 112000)), 48000)]
    for axis in hub_judges.AXES:
        ratings = []
        for piece, heard in pieces:
            frames = int(wavlm._get_feat_extract_output_lengths(160000))
            kept = torch.ones(frames)
            if heard is not None:  # a frame counts when any of its share of the samples does; transformers has one less
                kept = (torch.arange(frames) * (160000 // frames) < heard).float()
            wavlm._get_feature_vector_attention_mask = lambda *_, kept=kept, **__: kept.bool().expand(2, -1)
            mask = torch.ones(2, 160000, dtype=torch.long)
            states = torch.stack(wavlm(piece, attention_mask=mask, output_hidden_states=True).hidden_states, -1)
            mixed = states @ head[f"layer_weights.{axis}"].softmax(0)
            x = F.normalize((mixed * kept[:, None]).sum(1) / kept.sum(), dim=-1)
            x = x @ head[f"proj_layer.{axis}.0.weight"].T + head[f"proj_layer.{axis}.0.bias"]
            x = F.layer_norm(x, (32,), head[f"proj_layer.{axis}.1.weight"], head[f"proj_layer.{axis}.1.bias"])
            x = F.gelu(x) @ head[f"proj_layer.{axis}.4.weight"].T + head[f"proj_layer.{axis}.4.bias"]
            scale = values["target_transform"][axis]
            ratings.append(x[:, 0] * scale["std"] + scale["mean"])
        found, _ = scored(
            opened(f"audiobox-{axis.lower()}", folder), {"waveform": sound[:, None], "sample_rate": 16000}
        )
        assert close(found, (ratings[0] + 0.3 * ratings[1]) / 1.3), axis


@torch.no_grad()
def test_clap_is_the_cosine_of_a_sound_and_its_prompt(folder):
    from transformers import ClapFeatureExtractor, RobertaTokenizer

    own = folder / "laion--clap-htsat-unfused"
    model = hub_judges.clap(own)
    sound = 0.3 * torch.randn(3, 1, 48000 * 4, generator=torch.Generator().manual_seed(0))
    features = ClapFeatureExtractor.from_pretrained(own)
    heard = features([np.asarray(one[0]) for one in sound], sampling_rate=48000, return_tensors="pt")
    words = RobertaTokenizer.from_pretrained(own)(list(PROMPTS), padding=True, return_tensors="pt")
    out = model(**heard, input_ids=words["input_ids"], attention_mask=words["attention_mask"])
    expected = (out.audio_embeds * out.text_embeds).sum(-1)
    judge = opened("clap", folder)
    assert close(scored(judge, {"waveform": sound, "sample_rate": 48000})[0], expected)
    # a piece of 10 s and one of 5 s, each by its length
    long = 0.3 * torch.randn(1, 1, 48000 * 15, generator=torch.Generator().manual_seed(1))
    first, rest = (
        scored(judge, {"waveform": part, "sample_rate": 48000}, PROMPTS[:1])[0]
        for part in (long[..., :480000], long[..., 480000:])
    )
    whole, _ = scored(judge, {"waveform": long, "sample_rate": 48000}, PROMPTS[:1])
    assert close(whole, (2 * first + rest) / 3)


BUILT = {
    "clipscore": lambda f: hub_judges.clip(f / "openai--clip-vit-base-patch32"),
    "siglip2": lambda f: hub_judges.siglip(f / "google--siglip2-so400m-patch14-384"),
    "pickscore": lambda f: hub_judges.clip(f / "PickScore_v1"),
    "hpsv2.1": lambda f: hub_judges.hpsv2(f / "HPSv2"),
    "imagereward": lambda f: hub_judges.imagereward(f / "ImageReward"),
    "hpsv3": lambda f: hub_judges.hpsv3(f / "HPSv3", f / "Qwen--Qwen2-VL-7B-Instruct"),
    "vqascore": lambda f: hub_judges.qwen(f / "Qwen2.5-VL-7B-Instruct"),
    "laion-aesthetic": lambda f: (
        hub_judges.clip(f / "openai--clip-vit-large-patch14"),
        torch.save(hub_judges.linears(16, 0, 2, 4, 6, 7), f / "sac+logos+ava1-l14-linearMSE.pth"),
    ),
    **{
        f"audiobox-{axis}": lambda f: hub_judges.audiobox(f / "audiobox-aesthetics")
        for axis in ("ce", "cu", "pc", "pq")
    },
    "clap": lambda f: hub_judges.clap(f / "laion--clap-htsat-unfused"),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_batch_equals_its_singles_none_is_defined_and_slopes_reach_what_is_judged(name, tmp_path: Path):
    BUILT[name](tmp_path / "judges")
    judge = opened(name, tmp_path / "judges")
    if judge.spec.modality == "audio":
        sound = 0.3 * torch.randn(3, 2, 24000, generator=torch.Generator().manual_seed(2))
        items = [{"waveform": sound[rows], "sample_rate": 24000} for rows in (slice(0, 3), slice(1, 2), slice(0, 0))]
    else:
        image = eight_bit(3, 41, 57, seed=4)
        items = [image, image[1:2], image[:0]]
    together, _ = scored(judge, items[0])
    alone, _ = scored(judge, items[1], PROMPTS[1:2])
    nothing = scoring.score(judge, items[2], prompts=("a",) if judge.spec.needs_prompt else (), runtime=CPU)
    assert together.isfinite().all() and close(together[1:2], alone, 1e-3) and nothing.values == ()
    assert len(set(together.tolist())) == 3
    with judges.judging(judge, CPU) as open_judge:
        assert open_judge.parts() and not any(p.requires_grad for part in open_judge.parts() for p in part.parameters())
        x = scoring.in_space(judge.spec, items[1]).requires_grad_()
        value = open_judge.logit(x, prompts=PROMPTS[1:2])
        assert value.requires_grad == judge.spec.differentiable
        if judge.spec.differentiable:
            value.sum().backward()
            assert x.grad is not None and bool(x.grad.isfinite().all()) and float(x.grad.abs().max()) > 0
    judges.release_all(CPU)
