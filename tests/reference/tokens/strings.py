# SPDX-License-Identifier: Apache-2.0
"""2,000 byte strings to tokenise, the same on every run: hand-picked ones, then seeded mixtures."""
import random

# One entry a line; ⏎ stands for a newline inside an entry.
TEXTS = """Hello, world!
The quick brown fox jumps over the lazy dog.
don't can't we'll I'm you're it's they've he'd 'tis O'Neil's
DON'T CAN'T WE'LL I'M IT'S
e.g. i.e. a.m. U.S.A. Ph.D. No. 5, p. 12–15
https://example.org/path/to/page.html?query=1&lang=de#part-2
mail@example.com, @user #hashtag $HOME %d {name} [x] (y) <z>
C:\\Users\\name\\Documents\\report_final(2).docx
int main(int argc, char **argv) { return argc > 1 ? atoi(argv[1]) : 0; }
for (size_t i = 0; i < n; ++i) { sum += x[i] * w[i]; } // dot product
def f(x: int = 3, *args, **kw) -> dict[str, list[int]]:⏎    return {"a": [x]}⏎
SELECT name, COUNT(*) FROM t WHERE price >= 9.99 GROUP BY 1 ORDER BY 2 DESC;
<table><tr><td colspan="2">Total</td><td>1&nbsp;234,50&nbsp;&euro;</td></tr></table>
| Item | Price |⏎| --- | ---: |⏎| Apple | 1.20 |⏎
Item,Price,Sold⏎Apple,1.20,340⏎Pear,0.95,128⏎
\\frac{a+b}{c_{1}} = \\sum_{i=0}^{n} x_i^2 \\leq \\alpha\\,\\beta
$$E=mc^2$$ and \\(x \\in \\mathbb{R}\\)
{"key": "value", "n": -1.5e-10, "list": [true, false, null]}
#!/bin/sh⏎set -e⏎for f in *.c; do cc -c "$f" || exit 1; done⏎
\tindented\twith\ttabs⏎\t\ttwice⏎
0 1 12 123 1234 12345 123456 1234567 12345678901234567890
3.14159 1,234,567.89 1.234.567,89 1 234 567,89 1'234'567.89
2024-12-31T23:59:59Z 12/31/2024 31.12.2024 12:30 PM +49 (0)30 123456-78
100% 5‰ 20 °C −3 ±0.5 1½ ¼ ⅔ x² x³ H₂O 10⁻⁶ №5 §7 ¶2
ⅠⅡⅢ ⅳⅴⅵ ①②③ ⑴⑵⑶ 🄀 ❶❷❸ ㊀㊁㊂
٠١٢٣٤٥٦٧٨٩ ۰۱۲۳۴۵۶۷۸۹ ०१२३४५६७८९ ০১২৩৪ ๐๑๒๓๔ 〇一二三四五 ０１２３４５ 𝟘𝟙𝟚𝟛
Franz jagt im komplett verwahrlosten Taxi quer durch Bayern. Äpfel, Öl, Übergröße, ẞ
Portez ce vieux whisky au juge blond qui fume. œuvre, naïve, Noël, garçon, l’été, aujourd’hui
El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia. ¿Qué? ¡Sí!
Zażółć gęślą jaźń. Příliš žluťoučký kůň úpěl ďábelské ódy. Árvíztűrő tükörfúrógép.
Þórður, Reykjavík, Ísland; Ærø, Ångström; Łódź; Şişli, İstanbul, ığdır; Ħal, Ġgantija
Съешь же ещё этих мягких французских булок, да выпей чаю. Їжак, ґанок, ў, љубав, ѓ
Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ἀρχὴ τῆς σοφίας ᾿Ωδή
Բարեւ աշխարհ։ გამარჯობა მსოფლიო. ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ꮳꮃꭹ
שלום עולם! בְּרֵאשִׁית בָּרָא אֱלֹהִים
مرحبا بالعالم! اَلسَّلَامُ عَلَيْكُمْ ـــ لا إله فارسی می‌خواهم اردو
नमस्ते दुनिया। क्षत्रिय श्री ज्ञान বাংলা ভাষা ਪੰਜਾਬੀ ગુજરાતી தமிழ் தெலుగు ಕನ್ನಡ മലയാളം සිංහල
สวัสดีชาวโลก ລາວ ភាសាខ្មែរ မြန်မာစာ བོད་སྐད། ᠮᠣᠩᠭᠣᠯ አማርኛ ⵜⴰⵎⴰⵣⵉⵖⵜ ߒߞߏ ꦧꦱꦗꦮ
你好，世界！这是一个表格。“引号”、《书名》；（括号）【方头】……——
提取表格内容为CSV格式。请描述这张图片。第12章 第3节 2024年12月31日
繁體中文測試：臺灣、香港。㐀㐁㐂 𠀀𠀁𠀂 𪜶 﨑 豈 更
こんにちは、世界。カタカナ ﾊﾝｶｸ ひらがな ー々〆ヶ ヽヾゝゞ 株式会社㍿
안녕하세요 세계! 한글 자모 ㄱㄴㄷ ㅏㅑ ᄒᆞᆫ글 ᄀᆞ
Ｆｕｌｌｗｉｄｔｈ　ｔｅｘｔ！＂＃＄％＆＇（）＊＋，－．／：；＜＝＞？＠［＼］＾＿｀｛｜｝～
Tiếng Việt: Ă ắ ằ ẳ ẵ ặ Ơ ờ; Vie\u0302\u0323t Nam e\u0301 n\u0303 A\u030a o\u0308\u0304
Z\u0351\u036b\u0343a\u0329\u035el\u0321g\u0307o\u0348\u0302 \u0301 a\u20dd 1\u20e3 \u0300\u0301\u0302
👍 👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷🇯🇵 ❤️ ☺ ☹︎ ✈️ 🧑🏿‍💻 #️⃣ 1️⃣ 🫠 😀😃😄😁😆😅😂🤣
→ ← ↑ ↓ ⇒ ∀x∈ℝ ∃y ∑∏∫√∞≈≠≤≥±×÷ ∴ ∵ ⊂⊆ ℵ₀ 𝒜𝓑𝔠𝕯 𝐀𝑨 ﬁ ﬂ ﬃ
┌─┬─┐│ │ │├─┼─┤└─┴─┘ ═║╔╗ █▓▒░ ▲▼◆● ★☆ ♠♣♥♦ ♪♫ ☑☒ ⚠
“curly” ‘single’ „low“ «guillemets» ‹x› – — … • · ´ ` ^ ¨ ¯ ¸ ‚ † ‡ ™ © ® ¢ £ ¥ € ₹ ₿ ¤
a\u00a0b\u2003c\u2009d\u200be\u200cf\u200dg\u2060h\ufeffi\u00adj\u180ek\u3000l
line\u2028separator\u2029paragraph\u0085next\u000bvertical\u000cform
\u200e\u200fltr\u202artl\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069
\ufffd \ufffe \uffff \ue000 \uf8ff \U000f0000 \U0010ffff \U0001fffe
\u0000 \u0001\u0002\u001b[31mred\u001b[0m\u007f\u0080\u009f
_snake_case_ camelCase PascalCase kebab-case SCREAMING_SNAKE x1y2z3 v1.2.3-beta+45
!!! ??? ... ,,, ;;; ::: --- === *** ### $$$ %%% &&& @@@ ~~~ ``` ''' \"\"\"
!?.,;:-_=+*/\\|<>()[]{}^~`@#$%&'\"
a!b?c.d,e;f:g-h_i=j+k*l/m\\n|o<p>q(r)s[t]u{v}w^x~y`z@A#B$C%D&E'F\"G
!a ?b .c ,d ;e :f -g _h =i +j *k /l |m <n >o (p )q [r ]s {t }u ^v ~w `x @y #z
(a)[b]{c}<d>"e"'f'`g`*h*_i_~j~|k|/l/\\m\\
x²y³z¹ a₁b₂ 1st 2nd 3rd 4th 5e6 0xFF 0b1010 1e-5 .5 5. 1_000
"""

SPECIAL = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>", "<｜User｜>", "<｜Assistant｜>", "<|EOT|>",
           "<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>", "<｜tool▁calls▁begin｜>", "<｜tool▁sep｜>", "<think>",
           "</think>", "<｜place▁holder▁no▁0｜>", "<｜place▁holder▁no▁17｜>", "<｜place▁holder▁no▁799｜>",
           "<|User|>", "<|Assistant|>", "<image>", "<image_placeholder>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>",
           "<|grounding|>"]

SPACES = [" ", " ", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", "\u00a0", "\u3000", "\u2003", "\u0085", "\u2028",
          "\x0b", "\x0c", "\u200b", "\u1680", "\u202f"]

# Ranges to draw letters from: script by script, so that neighbours make words.
RANGES = [(0x41, 0x5a), (0x61, 0x7a), (0x61, 0x7a), (0x30, 0x39), (0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0xa1, 0xff),
          (0x100, 0x24f), (0x250, 0x2ff), (0x300, 0x36f), (0x370, 0x3ff), (0x400, 0x52f), (0x531, 0x586), (0x591, 0x5f4),
          (0x600, 0x6ff), (0x700, 0x74f), (0x780, 0x7b1), (0x7c0, 0x7fa), (0x900, 0x97f), (0x980, 0x9fe), (0xb80, 0xbfa),
          (0xc00, 0xc7f), (0xd00, 0xd7f), (0xe01, 0xe5b), (0xf00, 0xfda), (0x1000, 0x109f), (0x10a0, 0x10ff),
          (0x1100, 0x11ff), (0x1200, 0x137c), (0x13a0, 0x13fd), (0x1780, 0x17f9), (0x1820, 0x1878), (0x1d00, 0x1dbf),
          (0x1e00, 0x1eff), (0x1f00, 0x1ffe), (0x2010, 0x205e), (0x2070, 0x209c), (0x20a0, 0x20c0), (0x20d0, 0x20f0),
          (0x2100, 0x218b), (0x2190, 0x22ff), (0x2300, 0x23ff), (0x2460, 0x24ff), (0x2500, 0x25ff), (0x2600, 0x27bf),
          (0x2c00, 0x2cff), (0x2d30, 0x2d67), (0x2e80, 0x2fdf), (0x3001, 0x303f), (0x3041, 0x309f), (0x30a0, 0x30ff),
          (0x3105, 0x312f), (0x3131, 0x318e), (0x3200, 0x33ff), (0x3400, 0x4dbf), (0x4e00, 0x9fa5), (0x4e00, 0x9fa5),
          (0x9fa6, 0x9fff), (0xa000, 0xa48c), (0xa640, 0xa7ca), (0xab30, 0xabbf), (0xac00, 0xd7a3), (0xf900, 0xfad9),
          (0xfb00, 0xfb4f), (0xfb50, 0xfdff), (0xfe10, 0xfe6b), (0xff01, 0xffee), (0x10400, 0x1044f), (0x10c80, 0x10cf2),
          (0x118a0, 0x118ff), (0x12000, 0x12399), (0x1d400, 0x1d7ff), (0x1e900, 0x1e959), (0x1f000, 0x1f0f5),
          (0x1f100, 0x1f1ff), (0x1f300, 0x1f5ff), (0x1f600, 0x1f64f), (0x1f680, 0x1f6fc), (0x1f900, 0x1f9ff),
          (0x20000, 0x2a6df), (0xe000, 0xf8ff)]

WORDS = ("the table value total price and of in report page image text read extract 表格 图片 文字 数据 таблица текст "
         "ファイル 日本語 데이터 Größe façade naïve جدول צבע ตาราง सारणी return void static const if else while x y "
         "0 1 42 2024 3.5 1,000").split()


def script(rng, length):
    low, high = rng.choice(RANGES)
    return "".join(chr(rng.randint(low, high)) for _ in range(length))


def mixed(rng):
    parts = []
    for _ in range(rng.randint(1, 5)):
        kind = rng.random()
        parts.append(rng.choice(WORDS) if kind < 0.35 else script(rng, rng.randint(1, 5)))
        parts.append(rng.choice(["", "", " ", " ", rng.choice(SPACES)]))
    return "".join(parts)


def spaces(rng):
    parts = []
    for _ in range(rng.randint(1, 6)):
        parts.append(rng.choice(SPACES) * rng.randint(1, 4))
        parts.append(rng.choice(["", "a", "ab", "1", "12", "!", ".", "中", "é", "if", "}", "-", "\u0301"]))
    return "".join(parts)


def digits(rng):
    sets = ["0123456789"] * 6 + ["٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "０１２３４５６７８９", "²³¹½¼¾⅓", "ⅠⅡⅢⅳ①②", "〇一二三十百千", "𝟎𝟏𝟐𝟛"]
    parts = []
    for _ in range(rng.randint(1, 5)):
        alphabet = rng.choice(sets)
        parts.append("".join(rng.choice(alphabet) for _ in range(rng.randint(1, 9))))
        parts.append(rng.choice(["", " ", ".", ",", "-", "/", ":", "%", "x", "年", "\n", "e", "_"]))
    return "".join(parts)


def lookalike(rng):
    name = rng.choice(SPECIAL)
    change = rng.randrange(12)
    if change == 0:
        name = name.replace("｜", "|")
    elif change == 1:
        name = name.replace("▁", "_")
    elif change == 2:
        name = name.upper()
    elif change == 3:
        name = name[:rng.randint(1, len(name) - 1)]
    elif change == 4:
        name = name[rng.randint(1, len(name) - 1):]
    elif change == 5:
        at = rng.randint(1, len(name) - 1)
        name = name[:at] + rng.choice([" ", "\n", "x", "\u200b", "\u0301"]) + name[at:]
    elif change == 6:
        name = name + rng.choice(SPECIAL)
    elif change == 7:
        name = name[:-1] + name
    elif change == 8:
        name = name[:rng.randint(1, len(name) - 1)] + rng.choice(SPECIAL)
    return rng.choice(["", "", "a", " ", "\n", "User: ", "中"]) + name + rng.choice(["", "", "b", " ", "\n\n", ": hi", "1"])


def code(rng):
    parts = []
    for _ in range(rng.randint(2, 7)):
        parts.append(rng.choice(["if", "for", "def", "x", "foo_bar", "fooBar", "i", "self", "NULL", "0x1F", "\"s\"", "'c'", "//",
                                 "/*", "*/", "#", "@", "std::vector<int>", "a[i]", "->", "=>", "==", "!=", "<=", "&&", "||",
                                 "+=", "++", "...", ";", "{", "}", "(", ")", "();", "{}", "[];", "\\n", "%s", "$x", "${y}"]))
        parts.append(rng.choice(["", "", " ", " ", "\n", "\n    ", "\n\t", ";\n", ",", ".", "\r\n"]))
    return "".join(parts)


def anything(rng):
    """Code points from anywhere, assigned or not, but no surrogates."""
    out = []
    for _ in range(rng.randint(1, 6)):
        c = rng.choice([rng.randrange(0x80), rng.randrange(0x800), rng.randrange(0x10000), rng.randrange(0x30000)])
        out.append(chr(c) if not 0xd800 <= c < 0xe000 else " ")
    return "".join(out)


def broken(rng):
    """Bytes that are not UTF-8: stray and missing continuations, overlong forms, surrogates, beyond U+10FFFF."""
    bad = [b"\x80", b"\xbf\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xc3", b"\xe2\x82", b"\xe0\x80\xaf", b"\xe0\x9f\xbf", b"\xed\xa0\x80",
           b"\xed\xbf\xbf", b"\xf0\x9f\x98", b"\xf0\x9f", b"\xf0\x80\x80\xaf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80",
           b"\xfe", b"\xff", b"\xff\xfe", b"\xe4\xb8", b"\xef\xbb", b"\xed\x9f", b"\xf1\x80\x80", b"\xf4\x8f\xbf", b"\xe1\x80\xe2",
           bytes([rng.randrange(256)]), bytes(rng.randrange(128, 256) for _ in range(rng.randint(1, 5)))]
    parts = []
    for _ in range(rng.randint(1, 4)):
        parts.append(rng.choice(["", "a", " b", "中", "é", "1", "\n", " ", "<|User|>", "ab"]).encode())
        parts.append(rng.choice(bad))
    parts.append(rng.choice(["", "", "z", "文", " "]).encode())
    return b"".join(parts)


LONG = ["a" * 700, " " * 300, "\n" * 150, "ab" * 250, "0" * 101, "." * 257, "=" * 128, "中" * 200, "é" * 150, "😀" * 40,
        "\u0301" * 60, " a" * 120, "a\n" * 90, "!?" * 80, "\t" * 65, "\r\n" * 40, "x" + " " * 99 + "y", "-" * 79 + "\n" + "-" * 79,
        "<" * 50 + "|User|>" + ">" * 50, "The table shows the total. " * 12]


def strings():
    """The 2,000 byte strings, all different."""
    rng = random.Random(20241213)
    out = [b"", b" ", b"\n", b"a"]
    out += [t.replace("⏎", "\n").encode("utf-8") for t in TEXTS.split("\n")]
    out += [t.encode("utf-8") for t in SPECIAL] + [t.encode("utf-8") for t in LONG]
    out = list(dict.fromkeys(out))
    seen = set(out)
    for make, count in ((mixed, 650), (spaces, 230), (digits, 150), (lookalike, 260), (code, 150), (anything, 150),
                        (broken, 2000)):
        while count and len(out) < 2000:
            text = make(rng)
            text = text if isinstance(text, bytes) else text.encode("utf-8")
            if text not in seen:
                seen.add(text)
                out.append(text)
                count -= 1
    return out
