"""What the shim wrote down (struct inject_book of inject.h), and the names of what it saw."""
import bisect
import functools
import os
import re
import struct
import subprocess

FRAMES_MAX, MODULES_MAX, MODULE_BYTES, NAME_BYTES = 56, 64, 128, 32
HEAD = struct.Struct("<QQQ")
CALL = struct.Struct(f"<QIBBH{NAME_BYTES}s")
CALL_BYTES = CALL.size + 8 * FRAMES_MAX

# So many of the innermost functions of the program tell one call from another, and so many of each library's.
PROGRAM_DEPTH, LIBRARY_DEPTH = 8, 2


def text(octets):
    return octets.split(b"\0", 1)[0].decode()


class Call:
    def __init__(self, call_id, count, errors, is_memory, name, frames):
        self.id, self.count, self.errors, self.is_memory, self.name, self.frames = \
            call_id, count, errors, bool(is_memory), name, frames

    def is_own(self):
        """Made by the program itself, or by the C library for it."""
        outside = [module for module, _ in self.frames[:3] if module != "libc.so.6"]
        return bool(outside) and outside[0] == "program"

    def signature(self, symbols):
        """The same in every program that has this code; None where none of it is roam's."""
        kept, own, others = [self.name], 0, 0
        for module, offset in self.frames:
            if module != "program":
                others += 1
                if own == 0 and others <= LIBRARY_DEPTH:
                    kept.append(f"{module}+{offset:x}")
                continue
            function = symbols.function(offset)
            if not symbols.is_roam(function[0]) or own == PROGRAM_DEPTH:
                if own:
                    break
                continue
            kept.append(f"{function[0]}+{function[1]:x}")
            own += 1
        return tuple(kept) if own else None


def was_made(path):
    """Whether the call that was to fail was made."""
    with open(path, "rb") as file:
        return HEAD.unpack(file.read(HEAD.size))[0] > 0


def read_book(path):
    """The number of unit tests, and the calls."""
    with open(path, "rb") as file:
        octets = file.read()
    _, missing, tests = HEAD.unpack_from(octets, 0)
    if missing:
        raise RuntimeError(f"{missing} calls found no room in the book: INJECT_CALLS_MAX")
    modules = [text(octets[HEAD.size + MODULE_BYTES * i:][:MODULE_BYTES]) for i in range(MODULES_MAX)]
    calls = []
    for at in range(HEAD.size + MODULE_BYTES * MODULES_MAX, len(octets) - CALL_BYTES + 1, CALL_BYTES):
        if not any(octets[at:at + 8]):
            continue
        call_id, count, errors, is_memory, frames, name = CALL.unpack_from(octets, at)
        trail = struct.unpack_from(f"<{frames}Q", octets, at + CALL.size)
        calls.append(Call(call_id, count, errors, is_memory, text(name),
                          [(modules[frame >> 48], frame & (1 << 48) - 1) for frame in trail]))
    calls.sort(key=lambda call: call.id)
    return tests, calls


# readelf, as nm would ask a plugin of the compiler's about objects with link-time optimization.
SYMBOL = re.compile(r"^\s*\d+: ([0-9a-f]+)\s+\S+ FUNC\s+\w+\s+\w+\s+(\w+) (\S+)", re.M)


@functools.cache
def functions_of(path):
    out = subprocess.run(["readelf", "-sW", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return [(int(place, 16), name) for place, section, name in SYMBOL.findall(out.stdout) if section != "UND"]


@functools.cache
def roam_functions(build):
    return {name for archive in ("libroam_internal.a", "libroam_cli.a")
            for _, name in functions_of(os.path.join(build, archive))} - {"main"}


class Symbols:
    def __init__(self, program, build):
        functions = sorted(functions_of(program))
        self.places, self.names = [place for place, _ in functions], [name for _, name in functions]
        # The command is roam's from end to end.
        self.roam = None if os.path.basename(program) == "roam" else roam_functions(build)

    def function(self, offset):
        at = bisect.bisect_right(self.places, offset) - 1
        return (self.names[at], offset - self.places[at]) if at >= 0 else ("?", offset)

    def is_roam(self, name):
        return self.roam is None or name in self.roam
