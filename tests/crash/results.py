"""The file the sweeps write their figures to: a tab-separated row per line of the scorecard and sweep."""

import os

COLUMNS = ("row", "sweep", "points", "violations", "worst_recovery_ms", "seed", "command")


def write(path, row, sweep, points, violations, worst_seconds, seed, command):
    """Appends a row; a new file gets the names of the columns first."""
    new = not os.path.exists(path) or not os.path.getsize(path)
    worst = "-" if worst_seconds is None else f"{worst_seconds * 1000:.0f}"
    with open(path, "a", encoding="utf-8") as file:
        if new:
            file.write("\t".join(COLUMNS) + "\n")
        file.write("\t".join(map(str, (row, sweep, points, violations, worst, seed, command))) + "\n")
