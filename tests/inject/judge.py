"""What became of a program of which a call was made to fail."""
import re

FRAME = re.compile(r"^\s+#\d+ 0x[0-9a-f]+ (?:in (\S+) )?(.*)$", re.M)
REPORT = re.compile(r"==\d+==\s?ERROR: (AddressSanitizer|LeakSanitizer)|runtime error: |: Assertion `")
ASSERTION = re.compile(r"^(?:[^\n]*: )?(\S+\.[ch]):\d+: [^\n]*Assertion `", re.M)

# nghttp3 (0.8) gives a string of QPACK back once more than it has taken it, where the next finds no memory.
LIBRARY_ASSERTIONS = {"nghttp3_rcbuf.c"}

# Invariants that a test looks at, of something that has just failed and is to be thrown away.
CHECK = re.compile(r"\b\w+_check: Assertion `")

HANDLE = re.compile(r"null pointer of type '(const )?struct roam_(conn|stream|endpoint|credentials|h3|io|table_walk)'")

# Sanitizers end a program with this.
SANITIZER_STATUS = 99


def is_roams(place):
    return re.search(r"(^|/)(src|include)/[\w/]+\.[ch]\b", place) is not None


def is_tests(place):
    return re.search(r"(^|/)tests/(?!inject/)[\w/]+\.[ch]\b", place) is not None


def stacks(report):
    """Each stack as its (function, place) pairs."""
    ret = []
    for block in re.split(r"\n\s*\n", report):
        frames = [(match[1] or "?", match[2]) for match in FRAME.finditer(block)]
        if frames:
            ret.append((block.strip().split("\n")[0], frames))
    return ret


def first_owner(frames):
    """Who is at fault: the innermost code of this tree; None where there is none of it."""
    for function, place in frames:
        if is_tests(place) or function == "main":
            return "tests"
        if is_roams(place):
            return "roam"
    return None


def is_handed_null(report, frames):
    """A unit test goes on with what it was not given: a public function of which it asks something about nothing."""
    owners = [first_owner([frame]) for frame in frames]
    return HANDLE.search(report) is not None and "tests" in owners and owners[:owners.index("tests")].count("roam") <= 3


def sanitizer_verdict(said, in_unit_test, test_failed):
    """None, or what a sanitizer or an assertion has found in roam."""
    if not REPORT.search(said):
        return None
    assertion = ASSERTION.search(said)
    if assertion:
        excused = assertion[1] in LIBRARY_ASSERTIONS or \
            in_unit_test and (not is_roams(assertion[1]) or CHECK.search(said) is not None)
        return None if excused else "assertion: " + assertion[0]
    at = REPORT.search(said).start()
    report = said[at:]
    if "detected memory leaks" in report.split("\n", 1)[0]:
        # A unit test that failed has left its own function without cleaning up.
        if test_failed:
            return None
        leaks = [(head, frames) for head, frames in stacks(report) if "leak of" in report]
        leaks = [leak for leak in leaks if not in_unit_test or any(is_roams(place) for _, place in leak[1])]
        return "leak" if leaks else None
    frames = [stack for _, stack in stacks(report)]
    if in_unit_test and frames and (first_owner(frames[0]) == "tests" or is_handed_null(said, frames[0])):
        return None
    return report.split("\n", 1)[0]
