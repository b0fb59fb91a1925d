# Long: tables, no logic
"""Short lines for marketing and games: what the model is shown, and what is said without one. {x} stands for the user's words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """system, examples: for the model. most: words of a line. english, chinese: lines by keyword; "" has those for everything else.

    keep: whether each line begins with the user's words, as a prompt has to. new: whether a line may not repeat them whole.
    """

    system: str
    examples: tuple[tuple[str, str], ...]
    most: int
    english: dict[str, tuple[str, ...]]
    chinese: dict[str, tuple[str, ...]]
    keep: bool = False
    new: bool = False


TASKS: dict[str, Task] = {
    "slogan": Task(
        "You write one short slogan for a product. Only the slogan.",
        (
            ("a wool blanket from a family mill", "Warmth that runs in the family."),
            ("an app that teaches the piano", "Ten minutes a day, a song for life."),
            ("handmade pencils", "Think it. Draw it. Keep it."),
        ),
        12,
        {
            "coffee": (
                "Good mornings, freshly ground.",
                "Wake up to something better.",
                "One cup, and the day is yours.",
            ),
            "tea": ("Take a breath. Take a sip.", "Quiet, by the cup."),
            "bread": ("Fresh today. Gone by noon.", "Crust, crumb, and a good day."),
            "app": ("Less tapping. More living.", "Simple, from the first touch."),
            "game": ("One more round.", "Press start. Stay a while."),
            "bike": ("Turn every street into a view.", "The short way to fresh air."),
            "": (
                "Made with care. Made for you.",
                "Small things, done right.",
                "Simply good.",
                "Made to be used every day.",
            ),
        },
        {
            "咖啡": ("好的早晨，从现磨开始。", "一杯醒来。"),
            "茶": ("慢一点，喝口茶。", "一杯清静。"),
            "游戏": ("再来一局。", "按下开始，就不想停。"),
            "": ("用心制作，为你而来。", "简单，就是好。", "小事，做到最好。"),
        },
        new=True,
    ),
    "product line": Task(
        "You describe a product in one plain sentence: what it is and what is good about it. Only the sentence.",
        (
            ("handmade pencils", "Handmade cedar pencils that keep their point and sit well in the hand."),
            (
                "a wool blanket from a family mill",
                "A soft wool blanket, woven in a family mill and made to last for decades.",
            ),
            ("an app that teaches the piano", "An app that teaches the piano in short lessons, one song at a time."),
        ),
        30,
        {
            "": (
                "{X}: made with care, simple to use, and built to last.",
                "{X}, for every day: well made, easy to love.",
                "{X}: the details are right, so that everything else is easy.",
            )
        },
        {"": ("{x}：用心制作，简单好用，经久耐用。", "{x}，适合每一天：做工好，用着省心。")},
    ),
    "character line": Task(
        "You speak one short line as a character of a game. Only what the character says, nothing else.",
        (
            ("a tired night guard", "Gate's shut till dawn, friend. You'd best have a very good reason."),
            ("a cheerful fruit seller", "Sweetest plums this side of the river! Try one, and then argue with me."),
            ("an old ship's cook", "Storm or no storm, the soup goes out hot. Hold on to your bowl."),
        ),
        30,
        {
            "smith": (
                "Steel remembers every blow. What shall I make yours remember?",
                "If it bends, bring it back. If it breaks, bring me a better story.",
            ),
            "guard": (
                "Halt. State your business, and keep your hands where I can see them.",
                "Quiet night. Let's keep it that way.",
            ),
            "merchant": (
                "Look all you like, but the good things don't wait.",
                "For you? A fair price. For me? A fairer one.",
            ),
            "wizard": ("Magic is mostly patience. The rest is fire.", "Touch nothing that hums, traveller."),
            "witch": ("Every potion has a price. This one only costs a secret.", "Mind the cat. She was a king once."),
            "innkeeper": (
                "Sit, eat, and leave your troubles at the door with your boots.",
                "Last room's yours, if you don't mind the ghost.",
            ),
            "pirate": (
                "The sea keeps what it likes. I only borrow from it.",
                "There's a map in my head, and it's not for sale.",
            ),
            "robot": ("I have run the numbers. You will not like them.", "My orders are old. My curiosity is new."),
            "": (
                "You've come a long way. Rest a little, then tell me what you need.",
                "Careful on the road ahead. It has been listening.",
            ),
        },
        {
            "铁匠": ("每一锤，钢都记得。你想让它记住什么？", "弯了拿回来，断了就讲个好故事。"),
            "守卫": ("站住，说明来意。", "今晚很安静，别打破它。"),
            "商人": ("随便看，好东西可不等人。", "给你的是公道价，给我的也是。"),
            "法师": ("魔法大半是耐心，剩下的是火。", "会嗡嗡响的东西，一样都别碰。"),
            "": ("你走了很远的路。先歇歇，再说你要什么。", "前面的路要小心，它一直在听。"),
        },
    ),
    "scenes": Task(
        "You write a storyboard. Each line describes one picture of the story in a few plain words, in order.",
        (
            (
                "a boy who finds a dragon egg",
                "a boy walks alone through a rainy forest\na boy finds a glowing egg under a root\na boy carries the egg "
                "home under his coat\na boy and a small dragon watch the sunrise",
            ),
        ),
        24,
        {
            "": (
                "wide establishing shot, early morning",
                "medium shot, setting out",
                "close-up, a first discovery",
                "low angle, an obstacle in the way",
                "over the shoulder, a decision",
                "action shot, everything in motion",
                "close-up, a quiet moment",
                "wide shot, evening light, the end",
            )
        },
        {
            "": (
                "远景，清晨，故事开始",
                "中景，启程",
                "特写，第一个发现",
                "低角度，前方的阻碍",
                "过肩镜头，做出决定",
                "动态镜头，一切都在运动",
                "特写，安静的一刻",
                "远景，傍晚的光，结局",
            )
        },
        keep=True,
    ),
}
