"""The matrix for people: on the terminal, and between two markers of docs/interop.md."""

import re

BEGIN, END = "<!-- matrix: written by make interop -->", "<!-- end of the matrix -->"
KINDS = ("ok", "FAIL", "unsupported", "not yet")


def short(verdict):
    if verdict is None:
        return ""
    return verdict.value or verdict.kind


def pairs_of(results):
    return list(dict.fromkeys((client, server) for client, server, _ in results))


def cases_of(results):
    return list(dict.fromkeys(case for _, _, case in results))


def terminal(results):
    pairs, cases = pairs_of(results), cases_of(results)
    width = max(map(len, cases))
    columns = [max(len(f"{client} > {server}"), 12) for client, server in pairs]
    lines = [" " * width + "  " + "  ".join(f"{f'{c} > {s}':{n}}" for (c, s), n in zip(pairs, columns))]
    for case in cases:
        cells = (f"{short(results.get((*pair, case))):{n}}" for pair, n in zip(pairs, columns))
        lines.append(f"{case:{width}}  " + "  ".join(cells))
    counts = [f"{sum(verdict.kind == kind for verdict in results.values())} {kind}" for kind in KINDS]
    return "\n".join([*lines, "", ", ".join(counts)])


def steady(why):
    """Without what is another in each run: ports, connection IDs, counts of packets, directories."""
    why = re.sub(r"\b[0-9a-f]{2}(:[0-9a-f]{2}){3,}\b", "...", why.split("\n")[0])
    why = re.sub(r"(?:file://|(?<![:/\w]))/(?:[\w.-]+/)+", "", why)
    return re.sub(r"\b\d{4,}\b", "N", why).replace("|", "\\|")


def markdown(results, versions):
    pairs, cases = pairs_of(results), cases_of(results)
    notes, lines = [], []
    lines.append("| case | " + " | ".join(f"{client} → {server}" for client, server in pairs) + " |")
    lines.append("|---" * (len(pairs) + 1) + "|")
    for case in cases:
        cells = []
        for pair in pairs:
            verdict = results.get((*pair, case))
            text = "" if verdict is None else verdict.kind
            if verdict is not None and verdict.why:
                note = steady(verdict.why)
                if note not in notes:
                    notes.append(note)
                text += f" <sup>{notes.index(note) + 1}</sup>"
            cells.append(text)
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    lines += ["", *(f"{n}. {note}" for n, note in enumerate(notes, 1))]
    lines += ["", "The peers: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "."]
    return "\n".join(lines)


def rewrite(path, results, versions):
    text = path.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    path.write_text(f"{before}{BEGIN}\n\n{markdown(results, versions)}\n\n{END}{after}")
