"""A table of figures from one run, printed and kept beside the machine that they are of: what `./dev bench --store` and
`./dev bench --pipe` end with."""

import machine
import tables

HEADS = ("", "figure", "")


def note_machine(directory, leat):
    """To be called before anything is measured: the load is that of others."""
    return machine.describe(directory, leat)


def show(path, title, setting, rows, found):
    """Prints `rows` of (what, figure, remark) below `setting`, a sentence, and writes them to `path` as Markdown unless it is empty.
    `found` is note_machine()'s."""
    found = {**found, "load at the end": f"{machine.load():.2f}", "versions": ", ".join(" ".join(pair) for pair in found["versions"].items())}
    print(f"{setting}; load {found['load at the start']} at the start")
    print(tables.text_table(HEADS, rows))
    if not path:
        return
    parts = [f"# {title}", setting + ". One run, each figure in turn with what it is compared with; ratios are of the medians.",
             tables.markdown_table(HEADS, rows), "## Machine", tables.markdown_table(("", ""), found.items())]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n\n".join(parts) + "\n")
