# Long: tables, no logic
"""What a picture's description is made of, by style, in English and Chinese; and which words mean that it is said already."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Say:
    """One detail: as a tag, as a phrase in a sentence ("" is the tag), and in Chinese."""

    tag: str
    chinese: str
    phrase: str = ""

    @property
    def said(self) -> str:
        return self.phrase or self.tag


LIGHTS = (
    Say("soft diffuse light", "柔和的漫射光"),
    Say("warm side light", "温暖的侧光"),
    Say("clear daylight", "明亮的日光"),
    Say("gentle rim light", "淡淡的轮廓光"),
    Say("cool window light", "清冷的窗光"),
)
VIEWS = (
    Say("eye level", "平视", "seen at eye level"),
    Say("low angle", "低角度", "seen from a low angle"),
    Say("three-quarter view", "四分之三侧面", "seen in three-quarter view"),
    Say("centered composition", "居中构图", "in a centered composition"),
    Say("wide shot", "远景", "in a wide shot"),
)
MOTIONS = (
    Say("slow push in", "镜头缓缓推近", "The camera slowly moves in"),
    Say("slow pan", "镜头缓缓横移", "The camera slowly pans to the side"),
    Say("static camera", "固定镜头", "The camera stands still while everything else moves a little"),
    Say("slow orbit", "镜头缓缓环绕", "The camera slowly circles around"),
)

# style -> slot -> choices. "medium" says what kind of picture it is, "detail" how it is made.
STYLES: dict[str, dict[str, tuple[Say, ...]]] = {
    "photo": {
        "medium": (
            Say("photograph", "摄影照片", "a photograph"),
            Say("documentary photograph", "纪实摄影", "a documentary photograph"),
            Say("editorial photograph", "杂志摄影", "an editorial photograph"),
        ),
        "light": LIGHTS,
        "view": VIEWS,
        "detail": (
            Say("natural colors, fine texture", "自然的色彩，细腻的质感", "natural colors and fine texture"),
            Say("shallow depth of field, sharp focus", "浅景深，焦点清晰", "a shallow depth of field and sharp focus"),
            Say(
                "35mm lens, realistic detail", "35毫米镜头，真实的细节", "the look of a 35mm lens and realistic detail"
            ),
        ),
    },
    "illustration": {
        "medium": (
            Say("illustration", "插画", "an illustration"),
            Say("watercolor illustration", "水彩插画", "a watercolor illustration"),
            Say("ink and gouache illustration", "墨线水粉插画", "an ink and gouache illustration"),
        ),
        "light": LIGHTS,
        "view": VIEWS,
        "detail": (
            Say("clean shapes, limited palette", "简洁的造型，有限的配色", "clean shapes and a limited palette"),
            Say("visible brushwork, paper texture", "可见的笔触，纸张纹理", "visible brushwork on paper texture"),
            Say(
                "expressive lines, soft gradients",
                "富有表现力的线条，柔和的渐变",
                "expressive lines and soft gradients",
            ),
        ),
    },
    "anime": {
        "medium": (
            Say("anime illustration", "动漫插画", "an anime illustration"),
            Say("anime key visual", "动画主视觉图", "an anime key visual"),
            Say("anime film still", "动画电影画面", "a still from an anime film"),
        ),
        "light": LIGHTS,
        "view": VIEWS,
        "detail": (
            Say("cel shading, clean line art", "赛璐璐上色，干净的线稿", "cel shading and clean line art"),
            Say(
                "vivid colors, detailed background", "鲜艳的色彩，细致的背景", "vivid colors and a detailed background"
            ),
            Say("soft colors, painted background", "柔和的色彩，手绘背景", "soft colors and a painted background"),
        ),
    },
    "3d": {
        "medium": (
            Say("3d render", "三维渲染", "a 3d render"),
            Say("clay render", "黏土渲染", "a clay render"),
            Say("stylized 3d render", "风格化三维渲染", "a stylized 3d render"),
        ),
        "light": LIGHTS,
        "view": VIEWS,
        "detail": (
            Say(
                "global illumination, smooth materials",
                "全局光照，光滑的材质",
                "global illumination and smooth materials",
            ),
            Say("rounded forms, studio backdrop", "圆润的造型，摄影棚背景", "rounded forms on a studio backdrop"),
            Say(
                "physically based materials, fine detail",
                "真实的材质，精细的细节",
                "physically based materials and fine detail",
            ),
        ),
    },
    "poster": {
        "medium": (
            Say("poster design", "海报设计", "a poster design"),
            Say("screen print poster", "丝网印刷海报", "a screen print poster"),
            Say("travel poster", "旅行海报", "a travel poster"),
        ),
        "light": (
            Say("flat light", "平光", "flat light"),
            Say("strong contrast", "强烈的对比", "strong contrast"),
        ),
        "view": (
            Say("one bold focal point", "一个醒目的焦点", "with one bold focal point"),
            Say("symmetrical layout", "对称的版式", "in a symmetrical layout"),
            Say("empty space at the top", "上方留白", "with empty space at the top"),
        ),
        "detail": (
            Say("flat shapes, few colors", "平面的图形，少量的颜色", "flat shapes and few colors"),
            Say("geometric forms, grain", "几何形状，颗粒感", "geometric forms and a little grain"),
        ),
    },
    "none": {},
}

# A slot is left out when the words speak of it already: parts of words in English, of the text in Chinese.
SAID = {
    "medium": (
        "photo", "picture of", "painting", "drawing", "sketch", "illustration", "watercolor", "watercolour", "anime",
        "manga", "render", "3d", "pixel art", "poster", "logo", "icon", "engraving", "comic", "cartoon", "oil on",
        "collage", "照片", "摄影", "油画", "水彩", "插画", "动漫", "漫画", "海报", "素描", "像素", "渲染", "图标",
        "水墨", "国画",
    ),
    "light": (
        "light", "lit ", "night", "sunset", "sunrise", "dawn", "dusk", "evening", "morning", "noon", "lamp", "neon",
        "candle", "moon", "sunny", "sunshine", "fog", "mist", "storm", "dark", "shadow", "backlit", "lantern", "fire",
        "aurora", "光", "夜", "日落", "日出", "黄昏", "清晨", "早晨", "傍晚", "正午", "灯", "烛", "月", "雾", "暴风",
        "阴影", "火", "极光",
    ),
    "view": (
        "close-up", "closeup", "close up", "portrait", "wide", "aerial", "from above", "from below", "macro", "angle",
        " shot", "view", "full body", "isometric", "top-down", "panorama", "centered", "特写", "俯视", "仰视", "全景",
        "航拍", "微距", "半身", "全身", "视角", "镜头", "远景", "近景", "肖像", "构图",
    ),
    "motion": (
        "camera", "zoom", " pan ", "dolly", "tracking", "镜头", "推近", "拉远", "环绕", "跟拍",
    ),
}  # fmt: skip

# What a picture is not to be, for models that take a negative prompt: always, and by style.
NEGATIVE = Say(
    "low quality, blurry, distorted, bad anatomy, extra limbs, watermark, signature",
    "低质量，模糊，变形，肢体错误，多余的肢体，水印，签名",
)
NEGATIVES = {
    "photo": Say("drawing, painting, cartoon, plastic skin", "绘画，卡通，塑料质感的皮肤"),
    "illustration": Say("photograph, noise", "照片，噪点"),
    "anime": Say("photograph, 3d render", "照片，三维渲染"),
    "3d": Say("flat, sketch, noise", "扁平，草图，噪点"),
    "poster": Say("cluttered, photographic noise, illegible text", "杂乱，照片噪点，难以辨认的文字"),
}
# Video models fail in ways of their own.
NEGATIVE_VIDEO = Say("static image, flicker, jitter, warped faces", "静止画面，闪烁，抖动，扭曲的面部")

# Words that carry no picture.
EMPTY = frozenset(
    "a an the of in on at by with and or for to from into onto over under near beside behind before after between through across "
    "along around above below as is are was were be being been it its this that these those his her their there here who which "
    "while during very quite some any no not".split()
)
