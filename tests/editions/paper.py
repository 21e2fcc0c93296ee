"""How far the pages of a PDF from Chromium are filled, read from the file itself.

Belongs here: where text stands on a page. Does not belong here: what it says, and how full a page must be.
"""

import re
import zlib

OBJECT = re.compile(rb"(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
NUMBER = rb"(-?[\d.]+)"
OPERATORS = re.compile(
    rb"(?P<save>(?<![\w])q(?=\s))|(?P<restore>(?<![\w])Q(?=\s))"
    rb"|" + rb"\s".join([NUMBER] * 6) + rb"\s(?P<kind>cm|Tm)(?=\s)"
)  # fmt: skip


def text_heights(pdf: bytes) -> list[list[float]]:
    """Of each page, the heights at which text stands: 0 is the upper edge of the paper, 1 the lower."""
    objects = {int(m[1]): m[2] for m in OBJECT.finditer(pdf)}
    pages = [o for o in objects.values() if re.search(rb"/Type\s*/Page\b", o)]
    found = []
    for page in pages:
        box = re.search(rb"/MediaBox \[0 0 [\d.]+ ([\d.]+)\]", page)
        contents = re.search(rb"/Contents (\d+) 0 R", page)
        assert box, page[:200]
        assert contents, page[:200]
        stream = objects[int(contents[1])]
        start = stream.index(b"stream\n") + len(b"stream\n")
        drawn = zlib.decompressobj().decompress(stream[start:])
        height = float(box[1])
        found.append([1 - y / height for y in _baselines(drawn)])
    return found


def _baselines(drawn: bytes) -> list[float]:
    """Heights of the text of a page over its lower edge; pages of Chromium are moved and scaled, never turned."""
    scale, shift, kept, heights = 1.0, 0.0, [], []
    for operator in OPERATORS.finditer(drawn):
        if operator["save"]:
            kept.append((scale, shift))
        elif operator["restore"]:
            scale, shift = kept.pop()
        else:
            *_, d, _, f = (float(operator[k]) for k in range(3, 9))
            if operator["kind"] == b"cm":
                scale, shift = scale * d, shift + scale * f
            else:
                heights.append(shift + scale * f)
    return heights
