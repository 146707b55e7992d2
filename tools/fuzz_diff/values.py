#!/usr/bin/env python3
"""Arguments worth trying: ordinary ones, and those at every edge somebody has fallen over.

A pool is a list of byte strings. Which pool an argument is drawn from follows from its name and type in COMMAND DOCS.
"""


def texts(*items):
    return [item if isinstance(item, bytes) else str(item).encode() for item in items]


SMALL = texts(*range(-3, 13))
EDGES = sorted(
    {
        b"%d" % (sign * (1 << power) + step)
        for power in (7, 8, 15, 16, 23, 24, 31, 32, 52, 53, 62, 63, 64)
        for step in (-1, 0, 1)
        for sign in (-1, 1)
    }
)
NOT_INTEGERS = texts(
    "", " ", " 1", "1 ", "+1", "01", "-0", "--1", "-", "+", "1.0", "1e3", "0x10", "1_0", "one", "1\0", "\0",
    "123456789012345678901234567890", "9223372036854775807 ", "-01", "00", "\n1", "1\n", "٣",
)  # fmt: skip
INTEGERS = SMALL * 3 + texts(100, 1000, 12345, -777)
FLOATS = texts(
    "0", "1", "-1", "1.5", "-2.25", "3.0", "0.1", "-0", "-0.0", "1e5", "1E-5", "+2", ".5", "5.", "3.14159265358979",
    "100", "1e17", "1.7976931348623157e308", "2.2250738585072014e-308", "4.9e-324", "9007199254740993", "1e21", "17179869184",
)  # fmt: skip
ODD_FLOATS = texts(
    "inf", "-inf", "+inf", "Infinity", "nan", "-nan", "NAN(1)", "1e400", "-1e400", "1e-400", "0x1p3", "0x10", " 1", "1 ", "1\0",
    "", "1e", "e1", "1.2.3", "--1", "1,5", "infinit", "1e99999", "5e-324", "-5e-324", "1e4931", "1e4933", "3e-4951",
)  # fmt: skip
WORDS = texts("a", "b", "c", "d", "e", "f", "foo", "bar", "hello world", "A", "aa", "ab", "zz")
NUMBERS_AS_TEXT = texts(*range(0, 20), -1, -129, 128, 300, 32768, 65536, 2147483648, "3.5", "1e3", "007")
BINARY = [b"", b"\0", b"\xff", b"\x00\xff\r\n\"", b"a\0b", "žluť".encode(), b"%s%n", b"*", b"?", b"[", b"\\"]
LENGTHS = [bytes([97 + n % 26]) * n for n in (7, 8, 15, 16, 20, 31, 32, 39, 40, 43, 45, 63, 64, 65, 100, 127, 128, 129, 200, 256, 257)]
LONG = [b"x" * 4095, b"0123456789abcdef" * 512, bytes(range(256)) * 64]
HUGE = [b"v" * 65536, bytes(range(255, -1, -1)) * 256, b"10" * 35000]
PATTERNS = texts("*", "?*", "s*", "l?", "[sl]*", "[^s]*", "\\*", "", "s0", "*0", "**", "[", "[a-", "[z-a]*", "*\\", "h[0-2]", "\xff*")
HOSTILE = NOT_INTEGERS + ODD_FLOATS + EDGES + BINARY + PATTERNS + [b"(1", b"[a", b"(", b"1-1", b"$", b">", b"~", b"="]

# A deadline never falls into the run: it is past, or far, or nonsense; `serial` keeps two of them from being equal.
NOT_TIMES = texts(0, -1, -1000, "abc", "", "1.5", " 10", "+5000", 9223372036854775807, -9223372036854775808, 9223372036854775808,
                  9223372036854775, 9223372036854776, 18446744073709551615)  # fmt: skip

INDICES = texts(*range(-6, 9), 0, -1, 0, -1) + texts(100, -100, 2147483647, -2147483648, 9223372036854775807, -9223372036854775808)
COUNTS = texts(*range(-2, 9), 1, 2, 3, 1, 2) + texts(100, 1000, 2147483648, 9223372036854775807, -9223372036854775808)
CURSORS = texts(0, 0, 0, 0, 0, 1, 7, 1024, 18446744073709551615, 18446744073709551616, "-1", "a", "", "00", "+0", " 0")
SCORES = FLOATS * 2 + SMALL * 3 + ODD_FLOATS[:8]
SCORE_BOUNDS = texts("-inf", "+inf", "(1", "1", "(-inf", "(+inf", "0", "2", "(2.5", "10", "inf", "-1", "(-1", "(", "(a", "nan", "((1", " 1")
LEX_BOUNDS = texts("-", "+", "[a", "(a", "[b", "(c", "[", "(", "[z", "(zz", "a", "", "-a", "+a", "[\0", "[foo", "[10")
STREAM_IDS = texts(
    "0", "0-0", "0-1", "1-0", "1-1", "1-2", "2-1", "3", "5-5", "7-0", "10", "1-*", "2-*", "9-*", "99-*", "100-1", "100-2", "100-3",
    "1000-0", "18446744073709551615-18446744073709551615", "18446744073709551615-0", "18446744073709551615", "18446744073709551614-*",
    "-", "+", "(1", "(1-1", "$", ">", "a-1", "1-a", "-1-1", "1--1", "1-", "", "18446744073709551616-0", "01-01", "1-1-1", "(-", "(+",
)  # fmt: skip
TYPICAL_IDS = [b"%d-%d" % (ms, seq) for ms in range(1, 12) for seq in range(0, 4)]
BITFIELD_TYPES = texts("u8", "i8", "u1", "i1", "u4", "i5", "u16", "i32", "u63", "i64", "u64", "i65", "u0", "i0", "8", "u", "x8", "U8", "u08", "i-1", "")
BIT_OFFSETS = texts(0, 1, 7, 8, 9, 63, 64, 100, "#0", "#1", "#3", "#100", "-1", "#-1", "a", "#", 4294967295, 4294967296, 8388607, 8388608, 65535)
BITS = texts(0, 1, 0, 1, 0, 1, 2, -1, "a", "")
LONGITUDES = texts("13.361389", "15.087269", "-180", "180", "0", "181", "-180.1", "179.999999", "12.5", "nan", "2.35", "-74.0060", "1e3")
LATITUDES = texts("38.115556", "37.502669", "85.05112878", "-85.05112878", "85.06", "0", "-86", "48.85", "40.7128", "nan", "90")
RADII = texts("0", "1", "100", "200", "5000", "1e6", "-1", "0.5", "50000", "nan", "inf", "20000000", "abc")
GROUPS = texts("g1", "g2", "g1", "g2", "g3", "")
CONSUMERS = texts("c1", "c2", "c1", "c2", "c3", "")
GEOHASH_MEMBERS = texts("Palermo", "Catania", "edge", "zero", "a", "b")
SORT_PATTERNS = texts("#", "*", "s*", "w_*", "nosort", "h*->a", "h*->", "*->a", "h0->a", "->", "*->*", "", "l*", "s*->", "#*")
TIMEOUTS = texts("0.01", "0.001", "0.02", "1e-2", "-1", "abc", "", "nan", "1e400", "-0.5", "inf", "99999999999999999999")
BLOCK_MS = texts(1, 5, 10, -1, "abc", "1.5", "", 9223372036854775808)
IDLES = texts(0, 0, 0, 1000000000, 9223372036854775807, -1, "a")
VERSIONS = texts(2, 3, 3, 2, 4, 1, 0, "a", "", -1, 99999999999)
DATABASES = texts(0, 0, 0, 0, 1, 2, 0, 1, -1, 15, 16, "a", "", 9223372036854775808, " 1")
