#!/usr/bin/python3
"""Bar charts of results.json, as SVG that can be read on light and dark pages.

    charts.py RESULTS.JSON DIRECTORY
"""

import html
import json
import os
import statistics
import sys

from tables import number

# file name -> (contest, heading)
CHARTS = {
    "produce-100": ("bulk-produce-100", "Bulk produce"),
    "produce-1024": ("bulk-produce-1024", "Bulk produce"),
    "consume-100": ("bulk-consume-pipe-100", "Bulk consume"),
    "consume-1024": ("bulk-consume-pipe-1024", "Bulk consume"),
    "latency": ("single", "One at a time"),
    "writers": ("writers", "Eight writers"),
    "one-shot": ("one-shot", "One shot"),
}

WIDTH, FIGURES, ROW, BAR, TOP, BOTTOM = 860, 250, 30, 18, 66, 14
# Bold letters are this wide at most, on average; there is no font to ask.
LETTER = 8.1
# The page is drawn too: some viewers are dark and do not know prefers-color-scheme.
STYLE = """
.page { fill: #ffffff; }
text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
.heading { font-size: 17px; font-weight: 600; }
.note, .durable { fill: #59636e; font-size: 12.5px; }
.axis { stroke: #8c959f; stroke-width: 1; }
.leat { fill: #1a7f8e; } .limit { fill: #afb8c1; } .peer { fill: #c08a4a; }
.ours { font-weight: 600; }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117; }
  text { fill: #e6edf3; }
  .note, .durable { fill: #9aa4ae; }
  .leat { fill: #39b5c6; } .limit { fill: #656e77; } .peer { fill: #b9813f; }
}
"""


def words(x, y, text, kind="", anchor="start"):
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}" text-anchor="{anchor}">{html.escape(text)}</text>'


def bars(contest):
    """(name, kind, durability, median) of everybody."""
    for entry in contest["contestants"]:
        yield entry["name"], entry["kind"], entry["durable"], statistics.median(s[contest["figure"]] for s in entry["samples"])


def remark(durable):
    return {"on disk": "durable", "-": ""}.get(durable, "not durable" + durable.removeprefix("no"))


def bar(y, left, scale, unit, name, kind, durable, value):
    middle = y + ROW / 2 + 5
    length = max(value * scale, 1.5)
    figure = f"{number(value)} {unit}"
    ours = "ours" if kind == "leat" else ""
    behind = left + length + 8
    return [words(left - 10, middle, name, ours, "end"),
            f'<rect class="{kind}" x="{left}" y="{y + (ROW - BAR) / 2:.0f}" width="{length:.1f}" height="{BAR}" rx="2"/>',
            f'<text x="{behind:.0f}" y="{middle:.0f}"><tspan class="{ours}">{html.escape(figure)}</tspan>'
            f'<tspan class="durable" dx="8">{html.escape(remark(durable))}</tspan></text>']


def chart(contest, heading):
    rows = list(bars(contest))
    height = TOP + ROW * len(rows) + BOTTOM
    left = round(30 + LETTER * max(len(name) for name, *_ in rows))
    scale = (WIDTH - left - FIGURES) / max(value for *_, value in rows)
    better = "shorter is better" if contest["lower_is_better"] else "longer is better"
    note = f"{contest['title']}; {contest['unit']}, {better}"
    body = [f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>', words(16, 28, heading, "heading"),
            words(16, 49, note, "note")]
    for index, row in enumerate(rows):
        body += bar(TOP + ROW * index, left, scale, contest["unit"], *row)
    body.append(f'<line class="axis" x1="{left}" y1="{TOP - 4}" x2="{left}" y2="{height - BOTTOM + 4}"/>')
    label = html.escape(f"{heading}: {note}", quote=True)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
            f'aria-label="{label}">\n<style>{STYLE}</style>\n' + "\n".join(body) + "\n</svg>\n")


def draw(results, directory):
    """Writes a file for each contest that was held; returns their names, without the ending."""
    contests = {contest["key"]: contest for contest in results["contests"] if contest["contestants"]}
    drawn = []
    for name, (key, heading) in CHARTS.items():
        if key in contests:
            with open(os.path.join(directory, name + ".svg"), "w", encoding="utf-8") as file:
                file.write(chart(contests[key], heading))
            drawn.append(name)
    return drawn


def main():
    if len(sys.argv) != 3:
        sys.exit("charts.py RESULTS.JSON DIRECTORY")
    with open(sys.argv[1], encoding="utf-8") as file:
        results = json.load(file)
    draw(results, sys.argv[2])


if __name__ == "__main__":
    main()
