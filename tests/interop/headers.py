"""Generates random headers: valid ones, and ones with random faults. The same seed gives the same sequence."""
import struct

BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
        "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64}
DTYPES = list(BITS)
NAMES = ["a", "b", "t", "", "w.0", "w.1", "model.layers.0.self_attn.q_proj.weight", "\\u0061", "\\u0000", "a\\\"b", "\\\\", "\\/", "\\b\\f\\n\\r\\t",
         "\u00e9", "\\u00e9", "\U0001f600", "\\ud83d\\ude00", "\x7f", "metadata", "__Metadata__", "dtype", "\u20ac" * 20]
ODD_NAMES = ["__metadata__", "\\u005f_metadata__", "\\ud83d", "\\ude00", "\\ud83d\\u0041", "\\ud83dx", "\\x41", "\\u12", "\\u00zz", "\\", "\n", "\x00",
             "\x1f", "\\'", "\\U0061", "\ufeff", "\\udfff\\ud800"]
ODD_INTEGERS = ["-1", "-0", "00", "01", "1.0", "1e0", "1E+2", "1.", "1e", "-", "+1", ".5", "0x1", "\"1\"", "true", "null", "[]", "{}", "", "4294967296",
                "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "99999999999999999999", "1" * 40, "1x", "NaN"]
NUMBERS = ["0", "-0", "1", "-1.5", "1e5", "1E-5", "0.0e+0", "123456789012345678901234567890", "1e308", "-1e308", "1e-400", "9" * 309, "0e999", "1e-99999999999",
           "0.0000000001e300"]
ODD_NUMBERS = ["1e309", "-1e309", "1e999", "1e99999999999", "9" * 311, "1e308.5", "01", "-01", "1.", ".1", "1.e1", "1e", "1e+", "-", "+1", "0x10", "Infinity", "NaN",
               "-Infinity", "1_0", "1e3e3", "--1", "1e310", "0.1e310", "0.01e311", "10e308", "1e400", "00", "1,5"]
ODD_WORDS = ["tru", "truee", "True", "nul", "nulll", "NULL", "fals", "undefined", "none", "'a'", "// x\n1", "/**/1", "", ",", ":", "}", "]"]
BLANKS = [" ", "\n", "\t", "\r", "  ", " \r\n "]
ODD_BLANKS = ["\x0b", "\x0c", "\u00a0", "\x00", "\ufeff", "//", "#"]
OTHER_FILES = [b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", b"<!DOCTYPE html><html>", b"<html>", b"PK\x03\x04" + bytes(20), b"\x80\x02}q\x00.",
               b"GGUF\x03\0\0\0\0\0\0\0", b"\x93NUMPY\x01\0v\0", b"\x1f\x8b\x08\0\0\0\0\0", b'{"weight_map":{}}', b""]
EDITS = [b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b" ", b"0", b"1", b"9", b"-", b".", b"e", b"\x00", b"\x1f", b"\x7f", b"\x80", b"\xc0", b"\xe2\x82\xac",
         b"\xed\xa0\x80", b"\xff", b"null", b"{}", b"[]", b'""', b'"a":1', b",,", b"\\u0041", b"\\ud800", b"true", b"U8"]


class Generator:
    """random: a random.Random. odd: the probability of a fault in each leaf of the header."""

    def __init__(self, random):
        self.random, self.odd, self.spaced = random, 0.0, False

    def chance(self, p):
        return self.random.random() < p

    def pick(self, usual, unusual):
        return self.random.choice(unusual if self.odd and self.chance(self.odd) else usual)

    def blank(self):
        if not self.spaced or self.chance(0.6):
            return ""
        return self.pick(BLANKS, ODD_BLANKS)

    def string(self, text):
        return '"' + text + '"'

    def joined(self, items):
        comma = self.pick([","], ["", ",,", ";", ", ,"]) if self.chance(0.5) else ","
        text = (self.blank() + comma + self.blank()).join(items)
        return text + self.pick([""], [",", ":", " ,", "x"])

    def object(self, pairs):
        colon = self.pick([":"], ["", "::", "=", ","]) if self.chance(0.3) else ":"
        body = self.joined([k + self.blank() + colon + self.blank() + v for k, v in pairs])
        return "{" + self.blank() + body + self.blank() + self.pick(["}"], ["", "}}", "]"])

    def value(self, depth=0):
        """Returns arbitrary JSON."""
        kind = self.random.randrange(8 if depth < 4 else 5)
        if kind == 0:
            return self.pick(NUMBERS, ODD_NUMBERS)
        if kind == 1:
            return self.pick(["true", "false", "null"], ODD_WORDS)
        if kind in (2, 3):
            return self.string(self.pick(NAMES, ODD_NAMES))
        if kind == 4:
            n = self.pick([1, 5, 100, 123, 124, 125], [126, 127, 128, 129, 200])
            return "[" * n + self.pick(["", "1", "{}", "{\"a\":0}"], ["["]) + "]" * n
        if kind == 5:
            return self.object([(self.string(self.pick(NAMES, ODD_NAMES)), self.value(depth + 1)) for _ in range(self.random.randrange(3))])
        return "[" + self.joined([self.value(depth + 1) for _ in range(self.random.randrange(3))]) + "]"

    def integer(self, value):
        if self.odd and self.chance(self.odd / 2):
            return str(max(0, value + self.random.choice([-1, 1, 1, 2, 8])))
        return self.pick([str(value)], ODD_INTEGERS)

    def entry(self, dtype, shape, begin, end):
        fields = [("dtype", self.pick([self.string(dtype)], ['"u8"', '"Q4_K"', '""', '"U8 "', "null", "4", '{"%s":null}' % dtype, '["U8"]', '{"U8":null,"I8":null}', '{"U8":1}', '"\\u0055\\u0038"'])),
                  ("shape", self.pick(["[" + self.joined([self.integer(d) for d in shape]) + "]"], ["[]", "null", "2", "{}", '"2"', "[[2]]", "[null]"])),
                  ("data_offsets", self.pick(["[" + self.joined([self.integer(begin), self.integer(end)]) + "]"],
                                             ["[]", "[0]", "[0,1,2]", "null", '{"0":0,"1":1}', '"0,1"', "[[0,1]]"]))]
        if self.odd and self.chance(self.odd / 2):
            return "[" + self.joined([v for _, v in fields]) + "]"
        if self.chance(0.3):
            self.random.shuffle(fields)
        if self.chance(0.2):
            fields.insert(self.random.randrange(4), (self.pick(["x", "Dtype", "shap\\u0065s", ""], NAMES), self.value()))
        if self.odd and self.chance(self.odd):
            fields.insert(self.random.randrange(len(fields)), self.random.choice(fields))
        if self.odd and self.chance(self.odd):
            del fields[self.random.randrange(len(fields))]
        return self.object([(self.string(k) if self.chance(0.97) else self.string(k.replace("d", "\\u0064")), v) for k, v in fields])

    def tensors(self):
        """Returns valid (name, dtype, shape, begin, end)."""
        at, found = 0, []
        names = self.random.sample(NAMES, self.random.randrange(6))
        for name in names:
            dtype = self.random.choice(DTYPES)
            shape = [self.random.choice([0, 1, 1, 2, 3, 4, 4, 8]) for _ in range(self.random.randrange(4))]
            elements = 1
            for d in shape:
                elements *= d
            if elements * BITS[dtype] % 8:
                if not self.odd:
                    shape.append(4)
                    elements *= 4
            size = elements * BITS[dtype] // 8
            found.append((name, dtype, shape, at, at + size))
            at += size
        return found, at

    def shake(self, tensors):
        """Adds one fault between tensors: a gap, an overlap, a duplicate name, a reversed range, a shape that overflows."""
        if not tensors or not self.odd or not self.chance(0.5):
            return
        i = self.random.randrange(len(tensors))
        name, dtype, shape, begin, end = tensors[i]
        kind = self.random.randrange(6)
        if kind == 0:
            tensors[i] = (name, dtype, shape, begin + 1, end + 1)
        elif kind == 1:
            tensors.append((self.random.choice(tensors)[0], dtype, shape, begin, end))
        elif kind == 2:
            tensors[i] = (name, dtype, shape, end, begin)
        elif kind == 3:
            tensors[i] = (name, dtype, shape + [2**self.random.choice([31, 32, 59, 60, 61, 62, 63]), self.random.choice([0, 1, 2, 4])], begin, end)
        elif kind == 4:
            tensors.append((name, dtype, shape, end, end))
        else:
            tensors.append(("z", "F32", [0], self.random.randrange(20), self.random.randrange(20)))

    def header(self):
        tensors, data = self.tensors()
        if self.chance(0.5):
            self.random.shuffle(tensors)
        self.shake(tensors)
        pairs = [(self.string(self.pick([name], ODD_NAMES)), self.pick([self.entry(*rest)], ["{}", "null", "[]", "1", '"x"'])) for name, *rest in tensors]
        if self.chance(0.3):
            keys = [self.random.choice(NAMES) for _ in range(3)] if self.odd and self.chance(0.3) else self.random.sample(NAMES, self.random.randrange(4))
            values = [(self.string(self.pick([k], ODD_NAMES)), self.pick([self.string(self.random.choice(NAMES))], ["1", "null", "true", "{}", "[]", '"\\x"'])) for k in keys]
            metadata = (self.pick(['"__metadata__"'], ['"\\u005f_metadata__"']), self.pick([self.object(values)], ["null", "[]", "{}", "1", '""']))
            for _ in range(2 if self.odd and self.chance(self.odd) else 1):
                pairs.insert(self.random.randrange(len(pairs) + 1), metadata)
        text = self.blank() + self.pick([self.object(pairs)], ["[]", "null", "", "{}{}", "1", "{}"]) + self.blank()
        return text.encode("utf-8", "surrogatepass"), data

    def edit(self, text):
        """Changes random bytes."""
        text = bytearray(text)
        for _ in range(self.random.choice([1, 1, 1, 2, 4])):
            at = self.random.randrange(len(text) + 1)
            kind = self.random.randrange(6)
            if kind == 0 and at < len(text):
                text[at] ^= 1 << self.random.randrange(8)
            elif kind == 1:
                text[at : at + 1] = self.random.choice(EDITS)
            elif kind == 2:
                text[at:at] = self.random.choice(EDITS)
            elif kind == 3:
                del text[at : at + self.random.choice([1, 1, 2, 10])]
            elif kind == 4:
                end = at + self.random.randrange(40)
                text[at:at] = text[at:end]
            else:
                del text[at:]
        return bytes(text)

    def file(self):
        if self.chance(0.005):
            return self.random.choice(OTHER_FILES) + bytes(self.random.randrange(20))
        self.odd = self.random.choice([0.0, 0.0, 0.02, 0.05, 0.2])
        self.spaced = self.chance(0.3)
        text, data = self.header()
        if self.chance(0.35):
            text = self.edit(text)
        if self.chance(0.2):
            text += b" " * (-len(text) % 8)
        n = len(text)
        if self.chance(0.04):
            n = self.random.choice([0, 1, n - 1 if n else 0, n + 1, n + data, 2**32, 10**8, 10**8 + 1, 2**63, 2**64 - 1])
        if self.chance(0.05):
            data = max(0, data + self.random.choice([-1, 1, 8, -data]))
        whole = struct.pack("<Q", n) + text + bytes(data)
        return whole[: self.random.randrange(len(whole) + 1)] if self.chance(0.02) else whole
