"""Tokenizers and texts for embed_tokenizer.sh.

DRIVER is the program tokenizer.

embed_tokens.py prepare MODEL BPE OUT       writes directories with tokenizers: variants of MODEL's tokenizer.json, and of BPE
embed_tokens.py check DRIVER CHARACTERS OUT FIXTURES   compares the driver, and embed_tokenizer.c, with the recorded ids
embed_tokens.py expected DRIVER DIRECTORY FILE   compares it with the ids in shared/real/minilm_expected.json
embed_tokens.py fuzz DRIVER OUT COUNT [SEED]     compares it with the package `tokenizers` on random texts
embed_tokens.py hostile DRIVER OUT COUNT    damages a tokenizer at random: the driver works or refuses, and does not crash
embed_tokens.py record OUT FIXTURES         writes the recorded ids, with the package
embed_tokens.py train FILE TEXT...          makes the BPE tokenizer, with the package
"""
import json
import os
import random
import subprocess
import sys

WORDPIECE = ["minilm", "cased", "accents", "plain", "dirty", "added", "vocab"]
BPE = ["bpe", "spaced", "merges"]
SAME = {"vocab": "minilm", "merges": "bpe"}  # older files must behave as tokenizer.json does
LIMITS = [2, 3, 4, 7]


def write(folder, name, text):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8", errors="surrogatepass") as file:
        file.write(text)


def token(content, id, **options):
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized", "special"], False)
    return {"id": id, "content": content, **flags, **options}


def variant(source, name):
    """Changes the settings of a tokenizer."""
    d = json.loads(source)
    d["padding"] = d["truncation"] = None
    normalizer, vocabulary = d["normalizer"], d["model"]["vocab"]
    if name == "cased":
        normalizer["lowercase"] = False
    elif name == "accents":
        normalizer.update(strip_accents=False, handle_chinese_chars=False)
        d["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}
    elif name == "plain":
        d["normalizer"] = d["post_processor"] = None
    elif name == "dirty":
        normalizer.update(clean_text=False, lowercase=False, strip_accents=True)
    elif name == "added":
        new = [("Über", "swn"), ("the", "swl"), ("the st", "r"), ("file", "swlr"), (" x", "lr"), ("é", "n"), ("st", "lrn")]
        free = max(vocabulary.values()) + 1
        for content, options in new + [("日本", "ln")]:
            flags = {"single_word": "sw" in options, "lstrip": "l" in options, "rstrip": "r" in options, "normalized": "n" in options}
            d["added_tokens"].append(token(content, vocabulary.get(content, free), **flags))
            free += content not in vocabulary
    elif name == "spaced":
        d["pre_tokenizer"]["add_prefix_space"] = True
        d["model"]["merges"] = [" ".join(m) for m in d["model"]["merges"]]
        item = lambda kind, id, type: {kind: {"id": id, "type_id": type}}
        start, a, end = item("SpecialToken", "<s>", 0), item("Sequence", "A", 0), item("SpecialToken", "</s>", 0)
        template = {"type": "TemplateProcessing", "single": [start, a, end],
                    "pair": [start, a, end, item("Sequence", "B", 1), item("SpecialToken", "</s>", 1)],
                    "special_tokens": {t: {"id": t, "ids": [vocabulary[t]], "tokens": [t]} for t in ("<s>", "</s>")}}
        byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
        d["post_processor"] = {"type": "Sequence", "processors": [byte_level, template]}
        free = max(vocabulary.values()) + 1
        d["added_tokens"].append(token("Unicode", free, single_word=True, rstrip=True, normalized=True))
        d["added_tokens"].append(token("ab", free + 1, single_word=True))
    return d


def prepare(model, bpe, out):
    for name in WORDPIECE + BPE:
        path = bpe if name in BPE else os.path.join(model, "tokenizer.json")
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            d = variant(file.read(), name)
        folder, vocabulary = os.path.join(out, name), d["model"]["vocab"]
        if name == "vocab":
            write(folder, "vocab.txt", "".join(t + "\n" for t in sorted(vocabulary, key=vocabulary.get)))
        elif name == "merges":
            write(folder, "vocab.json", json.dumps(vocabulary))
            write(folder, "merges.txt", "#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in d["model"]["merges"]))
        else:
            write(folder, "tokenizer.json", json.dumps(d, ensure_ascii=False))


def tokenizer_file(out, name):
    return os.path.join(out, SAME.get(name, name), "tokenizer.json")


def run(driver, folder, texts, limit=None):
    lines = "".join(json.dumps(text, ensure_ascii=len(text) % 2 == 0) + "\n" for text in texts)
    command = [driver, "--json-lines", "--sizes", folder] + (["--max-length", str(limit)] if limit is not None else [])
    done = subprocess.run(command, input=lines.encode(), capture_output=True)
    output = done.stdout.decode().split("\n")[1:-1]
    if done.returncode or len(output) != len(texts):
        sys.exit(f"{folder}: exit status {done.returncode}, {len(output)} lines\n{done.stderr.decode()[-2000:]}")
    return output


def compare(label, texts, wanted, found):
    differences = [i for i in range(len(texts)) if wanted[i] != found[i]]
    for i in differences[:3]:
        print(f"{label}: {json.dumps(texts[i])}\n    wanted {wanted[i]}\n    found  {found[i]}")
    return len(differences)


def reference(tokenizer, text):
    if isinstance(text, str):
        return " ".join(map(str, tokenizer.encode(text).ids))
    e = tokenizer.encode(text[0], text[1])
    return " ".join(f"{a}/{b}" for a, b in zip(e.ids, e.type_ids))


def open_reference(out, name):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(tokenizer_file(out, name))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def limited(tokenizer, texts, limit):
    """Cut to `limit` ids; nothing where the special tokens do not fit."""
    found = []
    for text in texts:
        specials = tokenizer.num_special_tokens_to_add(not isinstance(text, str))
        if limit < specials:
            found.append("")
            continue
        tokenizer.enable_truncation(limit)
        found.append(reference(tokenizer, text))
    return found


def characters(tokenizer):
    hashes, h = [], 0
    for start in range(0, 0x110000, 0x1000):
        codes = [c for c in range(start, start + 0x1000) if not 0xd800 <= c <= 0xdfff]
        h = 0
        for e in tokenizer.encode_batch(["a{0}b {0}1{0}{0} I{0}".format(chr(c)) for c in codes]):
            for id in e.ids:
                h = (h ^ id) * 16777619 & 0xffffffff
        hashes.append(f"{h:08x}")
    return hashes


def check(driver, characters, out, fixtures):
    with open(fixtures, encoding="utf-8") as file:
        d = json.load(file)
    bad = ran = 0
    for name in WORDPIECE + BPE:
        folder = os.path.join(out, name)
        if not os.path.isdir(folder):
            continue
        wanted = d["ids"][SAME.get(name, name)]
        bad += compare(name, d["texts"], wanted, run(driver, folder, d["texts"]))
        for limit in LIMITS:
            wanted = d["limited"].get(name, {}).get(str(limit))
            if wanted:
                bad += compare(f"{name} to {limit}", d["long"], wanted, run(driver, folder, d["long"], limit))
        ran += 1
        if name not in d["characters"]:
            continue
        found = subprocess.run([characters, folder], capture_output=True).stdout.decode().split()
        if found[1:2] != [d["unicode"]]:
            print(f"skipped: utf8proc has Unicode {found[1]}, the characters were recorded with {d['unicode']}")
            continue
        for i, (a, b) in enumerate(zip(d["characters"][name], found[2:], strict=True)):
            if a != b:
                bad += 1
                print(f"{name}: characters from U+{i * 4096:04X} to U+{i * 4096 + 4095:04X} differ")
    print(f"{ran} tokenizers, {len(d['texts'])} texts, {bad} differences")
    return bad or not ran


def expected(driver, folder, path):
    with open(path, encoding="utf-8") as file:
        sentences = json.load(file)["sentences"]
    texts = [s["text"] for s in sentences]
    return compare(path, texts, [" ".join(map(str, s["ids"])) for s in sentences], run(driver, folder, texts, 256))


# ---- random texts

RANGES = [(0x20, 0x7e, 8), (0xa0, 0x24f, 4), (0x300, 0x36f, 3), (0x370, 0x52f, 4), (0x590, 0x6ff, 2), (0x900, 0xe7f, 4),
          (0x1100, 0x11ff, 1), (0x1e00, 0x1fff, 2), (0x2000, 0x2bff, 3), (0x3000, 0x30ff, 2), (0x3400, 0x4dbf, 1),
          (0x4e00, 0x9fff, 3), (0xac00, 0xd7a3, 2), (0xe000, 0xf8ff, .3), (0xf900, 0xfffd, 1), (0, 0x1f, .5), (0x7f, 0x9f, .5),
          (0x1f300, 0x1faff, 2), (0x1d400, 0x1d7ff, .5), (0x10000, 0x2fa1f, .5), (0xe0000, 0xe01ff, .3)]
WORDS = ("the a of hello world test testing tokenization unbelievable embedding Embeddings NASA iPhone naïve façade Ärger über "
         "übermäßig straße STRASSE Ελληνικά ΣΑΣ русский язык Ёлка İstanbul ığdır ISPARTA עברית שָׁלוֹם العربية مُحَمَّد हिन्दी ภาษาไทย "
         "한국어 각 日本語 東京 中文 Tiếng Việt Dvořák zażółć ﬁne ǅungla Ⅷ ½ 3.14 1,000 don't we'll I'm they've x's 's ﷽ stst file").split()
ODD = ["\U0001F468\u200d\U0001F469\u200d\U0001F467", "\U0001F1E9\U0001F1EA", "👍🏽", "\u0130\u0130", "e\u0301", "o\u0302\u0323", "\u212b", "\uac00",
       "\u1100\u1161\u11a8", "\u0344", "\u1e9b\u0323", "\ufb1d", "\u2126", "\u1fb3", "\u00ad", "\u200b", "\ufeff", "\ufffd", "\u0000", "\u0007"]
BLANKS = [" ", "  ", "   ", "\t", "\n", "\r\n", " \n", "\u00a0", "\u3000", "\u2028", "\x85", "\x0b", "\x0c", "\x1c"]


def random_text(r, specials):
    def character():
        low, high, _ = r.choices(RANGES, [x[2] for x in RANGES])[0]
        return chr(r.randint(low, high))

    def piece():
        k = r.random()
        if k < .4:
            word = r.choice(WORDS)
            return word if k < .35 else word.upper()
        if k < .5:
            return "".join(character() for _ in range(r.randint(1, 6)))
        if k < .55:
            low, high, _ = r.choices(RANGES, [x[2] for x in RANGES])[0]
            return "".join(chr(r.randint(low, high)) for _ in range(r.randint(1, 10)))
        if k < .63:
            return r.choice(specials)
        if k < .68:
            return r.choice(WORDS) + r.choice("\u0301\u0308\u0327\u0323\u0330") + r.choice(WORDS)
        if k < .72:
            return r.choice(ODD)
        if k < .76:
            return str(r.randint(0, 10 ** r.randint(1, 8)))
        if k < .84:
            return r.choice(BLANKS)
        if k < .845:
            return r.choice(WORDS) * r.randint(2, 40)
        return r.choice(".,;:!?-_()[]{}<>/\\|@#$%^&*+=~`\"'")

    return "".join(piece() + " " * (r.random() < .6) for _ in range(r.choice([0, 1, 2, 3, 5, 8, 13])))


def random_texts(seed, count, specials):
    r = random.Random(seed)
    return [random_text(r, specials) if r.random() < .85 else [random_text(r, specials), random_text(r, specials)]
            for _ in range(count)]


def all_specials(out, name):
    with open(tokenizer_file(out, name), encoding="utf-8") as file:
        return [a["content"] for a in json.load(file)["added_tokens"]] + ["[SEP", "MASK]", "[ SEP ]", "[sep]", "<MASK>"]


def fuzz(driver, out, count, seed):
    bad = 0
    for name in WORDPIECE + BPE:
        if not os.path.isdir(os.path.join(out, name)):
            continue
        tokenizer, specials = open_reference(out, name), all_specials(out, name)
        for start in range(0, count, 10000):
            texts = random_texts(f"{seed} {start}", min(10000, count - start), specials)
            bad += compare(name, texts, [reference(tokenizer, t) for t in texts], run(driver, os.path.join(out, name), texts))
        short = [t for t in random_texts(f"{seed} cut", max(count // 20, 10), specials)]
        for limit in (2, 3, 5, 8, 13):
            found = run(driver, os.path.join(out, name), short, limit)
            bad += compare(f"{name} to {limit}", short, limited(tokenizer, short, limit), found)
            tokenizer.no_truncation()
    print(f"{count} texts, {bad} differences")
    return bad


# ---- recording

def record(out, fixtures):
    fixed = [" ".join(WORDS), "", " ", "hello world", "[CLS] [SEP][MASK]x[PAD] [UNK]", "<s></s> a <mask> <mask>. <pad>",
             " \n <mask>\t", "a" * 99, "a" * 100, "a" * 101, "é" * 100, "é" * 101, "e\u0301" * 100, "unbelievable" * 9,
             "0123456789" * 12, " ".join(ODD), "".join(ODD), "".join("a" + b for b in BLANKS) + "a", "  two  blanks   three",
             "x\n\n\ny\n z", "I've we'LL 'tis 's 're'll ' s", "$1+2=3~`^|<>", "“quoted” – dash… ‹a› «b»", "the the st THE, file files _file file",
             "Über über ÜBER ueber Übermut", "日本 日本語x 日本", "ab abc Unicode  Unicode! xUnicode", "a xb  x c", "㐀䶿一鿿豈﫿𠀀𪛟",
             "\u0378\u05ff\ue000\U000f0000\U0001d165", "\u1734\u166d\U000111c9\u0610\u08e3\u1ab0\u1abf\u061d\u2e43\u2e42", "ⓐⒷ single\u200dword"]
    texts = fixed + random_texts("fixtures", 16, ["[SEP]", "[MASK]", "<mask>", "<s>", "Über", "the st", "st", "é", " x", "ab", "Unicode"])
    long = [t for t in random_texts("long", 5, ["[SEP]", "<mask>"]) if isinstance(t, str)]
    long += [[a, b] for a in ("", "one two", "one two three four five six") for b in ("", "a b", "a b c d e f g h")]
    d = {"made with": "tokenizers", "unicode": "15.0.0", "texts": texts, "long": long, "ids": {}, "limited": {}, "characters": {}}
    for name in [n for n in WORDPIECE + BPE if n not in SAME]:
        tokenizer = open_reference(out, name)
        d["ids"][name] = [reference(tokenizer, t) for t in texts]
        if name in ("minilm", "spaced", "bpe"):
            d["limited"][name] = {str(limit): limited(tokenizer, long, limit) for limit in LIMITS}
            tokenizer.no_truncation()
        if name in ("minilm", "dirty", "accents"):
            d["characters"][name] = characters(tokenizer)
    write(os.path.dirname(fixtures), os.path.basename(fixtures), json.dumps(d, ensure_ascii=False, indent=0, separators=(",", ":")) + "\n")


def train(path, sources):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train(sources, trainers.BpeTrainer(vocab_size=700, special_tokens=special, show_progress=False,
                                                 initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    d = json.loads(tokenizer.to_str())
    d["added_tokens"][4]["lstrip"] = True
    write(os.path.dirname(path), os.path.basename(path), json.dumps(d, ensure_ascii=True, separators=(",", ":")) + "\n")


# ---- damage

def hostile(driver, out, count):
    r = random.Random(7)
    with open(os.path.join(out, "spaced", "tokenizer.json"), encoding="utf-8") as file:
        source = file.read()
    short = json.loads(source)
    short["model"]["merges"] = short["model"]["merges"][:5]
    keep = {t for m in short["model"]["merges"] for t in (*m.split(" "), m.replace(" ", ""))} | {"<s>", "</s>"}
    short["model"]["vocab"] = {t: i for t, i in short["model"]["vocab"].items() if t in keep}
    source = json.dumps(short)
    values = [None, {}, [], -1, 1.5, 2147483647, 1e99, "", "\0", "Ġ", True, [[]], {"type": "Sequence"}, [1, 2, 3], "x" * 2000]

    def damage(value):
        """Replaces, removes or doubles something at random."""
        if not isinstance(value, (dict, list)) or not value or r.random() < .1:
            return r.choice(values)
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = r.choice(keys)
        if r.random() < .2:
            del value[key]
        elif r.random() < .1 and isinstance(value, list):
            value *= 9
        else:
            value[key] = damage(value[key])
        return value

    bad = opened = 0
    folder = os.path.join(out, "damaged")
    for i in range(count):
        d = json.loads(source)
        for _ in range(r.randint(1, 3)):
            d = damage(d)
        text = json.dumps(d)
        if i % 4 == 0:
            at = r.randrange(len(text) + 1)
            text = text[:at] + r.choice(["", ",", "}", "\\", "\"", "\ud800", "\n"]) + text[at + r.choice([0, 1, 9, len(text)]):]
        write(folder, "tokenizer.json", text)
        done = subprocess.run([driver, folder, "--json-lines", "--max-length", "16"], input=b"\"a <mask> Unicode ab\"\n[\"a\",\"b\"]\n", capture_output=True)
        opened += done.returncode == 0
        if done.returncode not in (0, 1) or (done.returncode == 1) != done.stderr.startswith(b"tokenize: tokenizer.json: "):
            bad += 1
            print(f"damage {i}: exit status {done.returncode}\n{done.stderr.decode(errors='replace')[-1500:]}")
            os.replace(os.path.join(folder, "tokenizer.json"), os.path.join(folder, f"{i}.json"))
    print(f"{count} damaged files, {opened} still opened, {bad} failures")
    return bad or not 0 < opened < count


command, *rest = sys.argv[1:]
if command == "prepare":
    prepare(*rest)
elif command == "check":
    sys.exit(check(*rest) and 1)
elif command == "expected":
    sys.exit(expected(*rest) and 1)
elif command == "fuzz":
    sys.exit(fuzz(rest[0], rest[1], int(rest[2]), rest[3] if len(rest) > 3 else "1") and 1)
elif command == "hostile":
    sys.exit(hostile(rest[0], rest[1], int(rest[2])) and 1)
elif command == "record":
    record(*rest)
elif command == "train":
    train(rest[0], rest[1:])
