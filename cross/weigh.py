"""weigh.py PROGRAM LINES: the tables of cross/weigh, from the line tables of a program that is not stripped."""

import collections
import re
import subprocess
import sys

program, lines = sys.argv[1], int(sys.argv[2])
STEP = 4  # every instruction of the 32-bit targets but Thumb's starts on one; x86_64 and Thumb are sampled


def place(path):
    """Who a source path belongs to, and whether that is us."""
    for pattern, name in (
        (r"/registry/src/[^/]*/(.*?)-\d[^/]*/", r"crate \1"),
        (r"/library/([^/]*)/src/([^/.]*)", r"\1::\2"),
        (r"/library/([^/]*)/", r"\1"),
    ):
        found = re.search(pattern, path)
        if found:
            return found.expand(name), False
    found = re.search(r"(?:^|/)(src/.*\.rs)", path)
    if found and "/lib/libc/" not in path:
        return found[1], True
    return "libc", False


sections = subprocess.run(["readelf", "-SW", program], capture_output=True, text=True, check=True).stdout
start, size = (int(x, 16) for x in re.search(r" \.text +PROGBITS +(\w+) \w+ (\w+)", sections).groups())
addresses = "\n".join(hex(a) for a in range(start, start + size, STEP))
frames = subprocess.run(
    ["llvm-symbolizer", "--obj=" + program, "--inlines"], input=addresses, capture_output=True, text=True, check=True
).stdout

places, functions = collections.Counter(), collections.Counter()
for block in frames.strip().split("\n\n"):
    rows = block.split("\n")
    # Innermost first: a line with the function, then one with path:line:column.
    chain = [(function, *place(path.rsplit(":", 2)[0])) for function, path in zip(rows[::2], rows[1::2])]
    ours = next((link for link in chain if link[2]), None)
    function, where, _ = ours or chain[-1]
    places[where] += STEP
    if ours:
        functions[f"{where}  {re.sub(r'::h[0-9a-f]{16}$', '', function)[:90]}"] += STEP

for title, table in (("by file or library", places), ("by function of ours", functions)):
    print(f"{title}: bytes of {size}")
    for name, count in table.most_common(lines):
        print(f"{count:8d} {count * 100 / size:5.1f} %  {name}")
