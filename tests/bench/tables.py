"""The results as tables: rows of text for the terminal, Markdown for RESULTS.md; from what results.json holds, nothing else."""

import statistics

from goals import REASONS, is_beyond_the_limit


def number(value):
    """Three or four figures that count."""
    if isinstance(value, (int, str)):
        return f"{value:,}" if isinstance(value, int) else value
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"


def bound_text(verdict):
    words = {"times at most": "at most {} x", "times faster": "at least {} x", "more at most": "at most + {} {}",
             "at most": "at most {} {}", "share at least": "at least {} x"}
    return words[verdict["how"]].format(number(verdict["bound"]), verdict["unit"])


def goal_rows(results):
    for verdict in results["goals"]:
        spread = f"{number(verdict['lowest'])} - {number(verdict['highest'])}"
        yield (verdict["goal"], bound_text(verdict), f"{number(verdict['value'])} {verdict['unit']}", spread,
               f"{number(verdict['limit'])} {verdict['unit']}" if "limit" in verdict else "", verdict_text(verdict))


def verdict_text(verdict):
    if verdict["met"]:
        return "met"
    return "beyond the limit" if is_beyond_the_limit(verdict) else "MISSED"


def contest_rows(contest):
    """Each contestant's median, its spread, and what share of leat's it is."""
    figure = contest["figure"]
    ours = next((entry for entry in contest["contestants"] if entry["kind"] == "leat"), None)
    for entry in contest["contestants"]:
        values = [sample[figure] for sample in entry["samples"]]
        median = statistics.median(values)
        share = median / statistics.median(sample[figure] for sample in ours["samples"]) if ours else 1
        memory = max((sample.get("peak_kib", 0) for sample in entry["samples"]), default=0)
        spread = f"{number(min(values))} - {number(max(values))}"
        yield (entry["name"], entry["durable"], f"{number(median)} {contest['unit']}", spread, f"{share:.2f}",
               f"{memory / 1024:.1f}" if memory else "")


GOAL_HEADS = ("goal", "bound", "measured", "lowest - highest", "limit", "")
CONTEST_HEADS = ("", "durable", "median", "lowest - highest", "x leat", "peak MiB")


def text_table(heads, rows):
    rows = [tuple(heads), *[tuple(map(str, row)) for row in rows]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    return "\n".join("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def markdown_table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def scale_cells(table):
    heads = tuple(table["rows"][0])
    return heads, [tuple(number(row[head]) for head in heads) for row in table["rows"]]


def machine_rows(results):
    machine = dict(results["machine"])
    versions = ", ".join(f"{name} {version}" for name, version in machine.pop("versions").items())
    return [*machine.items(), ("versions", versions), ("runs of each", str(results["runs"]))]


def goals_text(results):
    missed = sum(not verdict["met"] for verdict in results["goals"])
    beyond = sum(map(is_beyond_the_limit, results["goals"]))
    return (text_table(GOAL_HEADS, goal_rows(results)) +
            f"\n\n  {len(results['goals']) - missed} met, {missed - beyond} missed, {beyond} beyond what the limit reaches\n")


def reasons(results):
    """A paragraph for each goal that was missed, as far as the reason is known."""
    missed = [verdict["goal"] for verdict in results["goals"] if not verdict["met"]]
    return [f"* **{goal}**: {REASONS.get(goal, 'not looked into yet.')}" for goal in missed]


def text(results):
    parts = [text_table(("machine", ""), machine_rows(results))]
    for contest in results["contests"]:
        parts.append(contest["title"] + "\n" + text_table(CONTEST_HEADS, contest_rows(contest)))
    for table in results["scale"]:
        if table["rows"]:
            parts.append(table["title"] + "\n" + text_table(*scale_cells(table)))
    parts.append("To reach\n" + goals_text(results))
    return "\n\n".join(parts)


FOREWORD = """# Results

Printed by `./dev bench`, measured in one run on one machine. Absolute figures drift from run to run by a factor of two; ratios
within a run hold. So whatever is compared was run in turn (A B C, C B A, ...), and a ratio is the median of the ratios of the
rounds.

* Records are keyless, of the size named; the lines are text that LZ4 can make something of.
* *On disk*: acknowledged after an `fdatasync` (SQLite: WAL, `synchronous=FULL`; Redis: `appendfsync always`). *Page cache*: lost
  with the power (NATS of this version syncs every two minutes). *In memory*: lost with the process (kcat talks to librdkafka's
  mock of a cluster).
* Bulk: 1000 rows a transaction (SQLite), 1000 commands a pipeline (Redis), 1000 messages in flight (NATS). Whole processes are
  timed, the starting of servers is not. Logs are new for each run; what is dirty is written out before; what is read is in the
  page cache.
* Peak memory is that of the process named: of a server's client, not of the server.
"""


def markdown(results):
    parts = [FOREWORD, "## Machine", markdown_table(("", ""), machine_rows(results)),
             "## To repeat", "```sh\n" + "\n".join(results["commands"]) + "\n```",
             "## To reach", markdown_table(GOAL_HEADS, goal_rows(results))]
    if reasons(results):
        parts += ["### What was missed, and why", "\n".join(reasons(results))]
    parts.append("## Charts")
    parts += [f"![{name}]({name}.svg)" for name in results["charts"]]
    parts.append("## Contests")
    for contest in results["contests"]:
        parts += [f"### {contest['title']}", markdown_table(CONTEST_HEADS, contest_rows(contest))]
    if results["scale"]:
        parts.append("## Scale")
    for table in results["scale"]:
        if table["rows"]:
            parts += [f"### {table['title']}", markdown_table(*scale_cells(table))]
    return "\n\n".join(part.strip() for part in parts) + "\n"
