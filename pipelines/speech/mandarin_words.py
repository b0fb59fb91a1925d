"""Readings that speech has and the dictionary has not: the usual one of a character, and words that it leaves out."""

OWN = """
谁 shéi  地 de  得 de  还 hái  都 dōu  重 zhòng  长 cháng  行 xíng  乐 lè  了 le  着 zhe  为 wèi  没 méi  那 nà
这 zhè  会 huì  只 zhǐ  种 zhǒng  要 yào  看 kàn  好 hǎo  大 dà  当 dāng  给 gěi  和 hé  把 bǎ  吗 ma  呢 ne
吧 ba  啊 a  呀 ya  过 guò  说 shuō  什 shén  么 me  们 men  嘛 ma  啦 la  哦 ò  喔 ō  哪 nǎ  几 jǐ  角 jiǎo
发 fā  相 xiāng  间 jiān  中 zhōng  少 shǎo  教 jiāo  数 shù  分 fēn  调 diào  处 chù  应 yīng  空 kōng  难 nán
便 biàn  差 chà  曾 céng  朝 cháo  待 dài  倒 dào  干 gàn  更 gèng  假 jiǎ  觉 jué  量 liàng  模 mó  强 qiáng
切 qiē  任 rèn  色 sè  上 shàng  舍 shè  盛 shèng  似 sì  提 tí  系 xì  降 jiàng  血 xuè  载 zài  转 zhuǎn
一 yī  不 bù  个 gè  见 jiàn  能 néng  车 chē  石 shí  南 nán  女 nǚ  否 fǒu  参 cān  单 dān  员 yuán  尽 jìn
信 xìn  区 qū  曲 qǔ  弹 tán  藏 cáng  华 huá  落 luò  传 chuán
"""
WORDS = """
音乐 yīn yuè, 快乐 kuài lè, 觉得 jué de, 记得 jì de, 值得 zhí dé, 获得 huò dé, 取得 qǔ dé, 得到 dé dào
地方 dì fang, 地图 dì tú, 地球 dì qiú, 地铁 dì tiě, 地点 dì diǎn, 地址 dì zhǐ, 土地 tǔ dì, 目的地 mù dì dì
各地 gè dì, 当地 dāng dì, 长大 zhǎng dà, 成长 chéng zhǎng, 市长 shì zhǎng, 校长 xiào zhǎng, 增长 zēng zhǎng
生长 shēng zhǎng, 银行 yín háng, 行业 háng yè, 重新 chóng xīn, 重复 chóng fù, 了解 liǎo jiě, 为了 wèi le
成为 chéng wéi, 认为 rèn wéi, 作为 zuò wéi, 因为 yīn wèi, 以为 yǐ wéi, 头发 tóu fa, 教育 jiào yù, 教室 jiào shì
教授 jiào shòu, 教师 jiào shī, 会计 kuài jì, 首都 shǒu dū, 都市 dū shì, 成都 chéng dū, 睡觉 shuì jiào
应该 yīng gāi, 反应 fǎn yìng, 适应 shì yìng, 空调 kōng tiáo, 调整 tiáo zhěng, 音调 yīn diào, 数学 shù xué
东西 dōng xi, 便宜 pián yi, 方便 fāng biàn, 照片 zhào piàn, 朋友 péng you, 喜欢 xǐ huan, 知道 zhī dào
时候 shí hou, 先生 xiān sheng, 学生 xué sheng, 医生 yī shēng, 孩子 hái zi, 意思 yì si, 什么 shén me, 怎么 zěn me
我们 wǒ men, 还书 huán shū, 还给 huán gěi, 归还 guī huán, 一只 yì zhī, 两只 liǎng zhī, 一行 yì xíng
干净 gān jìng, 干燥 gān zào, 饼干 bǐng gān, 好奇 hào qí, 爱好 ài hào, 中奖 zhòng jiǎng, 分量 fèn liàng
部分 bù fen, 充分 chōng fèn, 音量 yīn liàng, 测量 cè liáng, 处理 chǔ lǐ, 相处 xiāng chǔ, 空白 kòng bái
投降 tóu xiáng, 传记 zhuàn jì, 自传 zì zhuàn, 差别 chā bié, 出差 chū chāi, 参差 cēn cī, 人参 rén shēn
少年 shào nián, 更新 gēng xīn, 更换 gēng huàn, 一切 yí qiè, 亲切 qīn qiè, 密切 mì qiè, 看见 kàn jiàn
角色 jué sè, 主角 zhǔ jué, 放假 fàng jià, 假期 jià qī, 暑假 shǔ jià, 勉强 miǎn qiǎng, 倒下 dǎo xià, 模样 mú yàng
答应 dā ying, 弹琴 tán qín, 子弹 zǐ dàn, 西藏 xī zàng, 宝藏 bǎo zàng, 转动 zhuàn dòng, 载重 zài zhòng
记载 jì zǎi, 下载 xià zài, 发展 fā zhǎn, 理发 lǐ fà, 大夫 dài fu, 似的 shì de, 房间 fáng jiān, 中间 zhōng jiān
关系 guān xi, 宿舍 sù shè, 相机 xiàng jī, 照相 zhào xiàng, 单于 chán yú, 朝阳 zhāo yáng, 人行道 rén xíng dào
多少 duō shao, 长城 cháng chéng, 重庆 chóng qìng, 不得不 bù dé bù, 一会儿 yí huì r, 漂亮 piào liang
眼睛 yǎn jing, 天气 tiān qì, 爸爸 bà ba, 妈妈 mā ma, 哥哥 gē ge, 姐姐 jiě jie, 弟弟 dì di, 妹妹 mèi mei
谢谢 xiè xie, 名字 míng zi, 晚上 wǎn shang, 早上 zǎo shang, 里面 lǐ miàn
"""


def readings() -> dict[str, str]:
    """By character: what the dictionary reads as its bookish form, or not first, and speech does not."""
    found = OWN.split()
    return dict(zip(found[::2], found[1::2]))


def words() -> dict[str, list[str]]:
    """By word, one syllable a character: characters that are read otherwise than alone."""
    pairs = (word.split(maxsplit=1) for word in WORDS.replace("\n", ", ").strip(", ").split(", ") if word)
    return {word: list(said.split()) for word, said in pairs}
