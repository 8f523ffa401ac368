"""What is to be reached, as figures of one run, and whether it was. Each round of a contest gives a ratio; its median counts."""

import dataclasses
import statistics

from contest import figures, find
from singles import GROUP_COMMIT, ONE_SHOT, PREALLOCATED, opened_name

MEMORY_MIB = 24
# "The same at any size": the noise of two measurements of the same thing.
SAME = 1.2


@dataclasses.dataclass
class Goal:
    text: str
    contest: str
    ours: str
    how: str  # "times at most", "times faster", "more at most", "at most", "share at least"
    bound: float
    theirs: str = ""
    figure: str = ""  # the contest's, when empty
    unit: str = ""
    limit: str = ""  # the barest program that does the same work, where a peer is to be left behind


# What a profile shows of goals that are missed on the machines known so far, what was tried, and where the floor is.
REASONS = {
    "bulk produce 100 B, proofs on / dd, stretch":
        "Both cores are busy: 0.31 s of processor time, half of it SHA-256 (five blocks a record, 16 ns each in 16 AVX-512 lanes) and "
        "decoding for the tree, a quarter the kernel's copies. That the disk begins early (`sync_file_range`) took a tenth off, that "
        "leaves are hashed by two threads a fifth: one hashed for as long again as the producer needed to append.",
    "bulk produce 100 B against SQLite":
        "As above; `dd` alone is 9 to 13 times as fast as SQLite.",
    "bulk produce 1 KiB against SQLite":
        "The floor is the disk: `dd`, which syncs and does nothing else, is no faster than leat.",
    "bulk produce 1 KiB against NATS":
        "The floor is the disk: `dd`, which syncs and does nothing else, is hardly faster than leat. NATS does not sync at all.",
    "bulk produce 1 KiB, LZ4 / plain":
        "LZ4 itself takes 0.33 s of a core for these 205 MB (the `lz4` tool 0.5 s), and the whole plain run 0.17 s of the clock: it is "
        "faster than `dd`. Compressing in a thread beside the producer took a quarter off; with both cores shared out evenly, and "
        "nothing unpacked again for the tree (a tenth), it would be 1.65 times the plain run.",
    "bulk produce 100 B, LZ4 / plain":
        "LZ4 itself takes 0.2 s of a core, and the plain run 0.17 s of the clock, with both cores busy, since its leaves are hashed by "
        "two threads: both runs became faster, the plain one more. Compressing in a thread beside the producer took a fifth off; "
        "an even share of all its processor time is 1.55 times the plain run.",
    "consume 100 B to /dev/null against SQLite":
        "A third is the kernel's copy out of the page cache, a quarter the decoding of a million records (115 instructions each, 180 "
        "before those without headers were decoded in one go), a fifth putting the lines together (a quarter before a run of them "
        "was copied in one loop), a tenth the CRC, made by carry-less multiplication. Blocks of 16 to 128 KiB for the output and of "
        "128 to 512 KiB for the input made no difference. Reading ahead in a thread brought nothing: twice the processor time, the "
        "same by the clock.",
    "consume 1 KiB to /dev/null against SQLite": 
        "More than half is the kernel's copy out of the page cache, which `cat` needs as well; the CRC, a third until it was made by "
        "carry-less multiplication, is a tenth.",
    "one durable append against SQLite":
        "The floor is `fdatasync`: overwriting preallocated bytes and syncing them, with nothing else, does not reach it either. "
        "SQLite overwrites its WAL in the same way.",
    "8 writers against SQLite":
        "The wake-ups of eight processes on two virtual cores, a quarter of the time idle until a halted core has woken. Waking only "
        "those whose records are durable, and three calls of statx instead of six, brought a tenth. Trying the sync lock was nine "
        "tries and eight yields: 100,000 of them for 12,000 records; now the leader yields until nobody appends any more, with "
        "half the processor time and a tenth more records a second. Syncing on for those who came meanwhile brought nothing.",
    "8 writers against Redis":
        "As above. Redis is one process: its commands wake nobody. A program that does nothing but write, sync for all that wait and "
        "wake them is no faster than leat.",
    "one shot - static open, append, fdatasync, exit":
        "Of 0.24 million instructions (there were a million when every option was declared to CLI11, and 0.35 when toml++ read our own "
        "files), a third are CLI11's; 65 more page faults and 100 system calls are the rest.",
    "one shot against sqlite3":
        "Half of it, and two thirds of the floor, is the C library's start: it asks the processor for its caches with 80 CPUID "
        "instructions, and the hypervisor of this machine takes 8.3 us for each, 0.66 ms for every process, whatever it does (one "
        "without a C library starts and ends in 0.1 ms). Without them leat would be 2.9 times as fast as sqlite3 and 4.2 times as "
        "redis-cli. Fewer page faults, by putting what is used at the start side by side or mapping it at once, brought nothing.",
    "one shot against redis-cli": "As above.",
    "proof and verify among 100,000 records":
        "A proof reads and hashes the block of 256 records it stands in, as only every eighth level of the tree is kept (0.13 bytes "
        "a record). Around that block lie two batches of 64 KiB, which are read, summed and decoded; thirty system calls are a "
        "fifth of the time.",
}


def bulk_goals():
    found = []
    for key, size, dd, cat in (("100", "100 B", 4, 2.5), ("1024", "1 KiB", 2.2, None)):
        produce, consume = f"bulk-produce-{key}", f"bulk-consume-pipe-{key}"
        found.append(Goal(f"bulk produce {size}, proofs on / dd", produce, "leat", "times at most", dd, "dd conv=fdatasync"))
        if key == "100":
            found.append(Goal("bulk produce 100 B, proofs on / dd, stretch", produce, "leat", "times at most", 2.5, "dd conv=fdatasync"))
            found.append(Goal(f"bulk produce {size}, no proofs / dd", produce, "leat, no proofs", "times at most", 2.2,
                              "dd conv=fdatasync"))
        for peer, factor in (("SQLite", 6), ("Redis", 15), ("NATS", 15)):
            found.append(Goal(f"bulk produce {size} against {peer}", produce, "leat", "times faster", factor, peer,
                              limit="dd conv=fdatasync"))
        found.append(Goal(f"bulk produce {size}, LZ4 / plain", produce, "leat, LZ4", "times at most", 1.6, "leat"))
        if cat:
            found.append(Goal(f"consume {size} to a pipe / cat", consume, "leat", "times at most", cat, "cat"))
            found.append(Goal(f"consume {size} to /dev/null / cat", f"bulk-consume-null-{key}", "leat", "times at most", cat,
                              "cat"))
        found.append(Goal(f"consume {size} to /dev/null against SQLite", f"bulk-consume-null-{key}", "leat", "times faster", 5,
                          "SQLite", limit="cat"))
        found.append(Goal(f"consume {size} to a pipe, LZ4 / plain", consume, "leat, LZ4", "times at most", 2, "leat"))
    return found


def other_goals(sizes):
    raw, alone = "append + fdatasync", "append + fdatasync, nobody told"
    return [
        Goal("LZ4 ratio of the same log / lz4 -1 -B4", "lz4-ratio", "leat, LZ4, of its plain log", "share at least", 0.98,
             "lz4 -1 -B4 of leat's plain log"),
        Goal("one durable append / append + fdatasync", "single", "leat", "times at most", 1.0, raw),
        Goal("one durable append against SQLite", "single", "leat", "times faster", 1.5, "SQLite", limit=PREALLOCATED),
        Goal("one durable append against Redis", "single", "leat", "times faster", 1.5, "Redis", limit=PREALLOCATED),
        Goal("8 writers against lock over sync", "writers", "leat", "times faster", 3, "lock over write and fdatasync"),
        Goal("8 writers against SQLite", "writers", "leat", "times faster", 5, "SQLite", limit=GROUP_COMMIT),
        Goal("8 writers against Redis", "writers", "leat", "times faster", 2, "Redis", limit=GROUP_COMMIT),
        Goal("produce to follower - append + fdatasync", "follower", "leat", "more at most", 60, alone, unit="us"),
        Goal("one shot - static open, append, fdatasync, exit", "one-shot", "leat produce", "more at most", 500, ONE_SHOT,
             unit="us"),
        Goal("one shot against sqlite3", "one-shot", "leat produce", "times faster", 3, "sqlite3", limit=ONE_SHOT),
        Goal("one shot against redis-cli", "one-shot", "leat produce", "times faster", 3, "redis-cli", limit=ONE_SHOT),
        Goal(f"opening {sizes.opened[-1]:,} records / {sizes.opened[0]:,}", "open", opened_name(sizes.opened[-1]),
             "times at most", SAME, opened_name(sizes.opened[0])),
        Goal("offset commit / overwrite + fdatasync", "commit", "leat", "times at most", 1.2, "overwrite in place + fdatasync"),
        Goal("disk of a keyless record of 100 B, proofs included", "bulk-produce-100", "leat", "at most", 112,
             figure="disk_bytes_per_record", unit="B"),
        Goal("proof and verify among 100,000 records", "proof", "leat", "at most", 100, unit="us"),
    ]


def rounds(goal, results, contestant):
    """The goal's figure in every round with that contestant in our place, or None when somebody did not take part."""
    contest = next((each for each in results["contests"] if each["key"] == goal.contest), None)
    ours = find(results, goal.contest, contestant)
    theirs = find(results, goal.contest, goal.theirs) if goal.theirs else None
    if not ours or goal.theirs and not theirs:
        return None
    figure = goal.figure or contest["figure"]
    if not theirs:
        return figures(ours, figure)
    pairs = zip(figures(ours, figure), figures(theirs, figure))
    if goal.how == "more at most":
        return [a - b for a, b in pairs]
    if goal.how == "times faster" and contest["lower_is_better"]:
        return [b / a for a, b in pairs]
    return [a / b for a, b in pairs]


def judge(goal, results):
    found = rounds(goal, results, goal.ours)
    if not found:
        return None
    value = statistics.median(found)
    limit = rounds(goal, results, goal.limit) if goal.limit else None
    met = value >= goal.bound if goal.how in ("times faster", "share at least") else value <= goal.bound
    return {"goal": goal.text, "how": goal.how, "bound": goal.bound, "unit": goal.unit or "x", "value": value,
            "lowest": min(found), "highest": max(found), "met": met,
            **({"limit": statistics.median(limit), "limit_name": goal.limit} if limit else {})}


def is_beyond_the_limit(verdict):
    """Whether what a bare program reaches would not be enough either."""
    return not verdict["met"] and verdict.get("limit", verdict["bound"]) < verdict["bound"]


def peaks(results):
    """(MiB, where) of every run of the command in the contests and at scale."""
    for contest in results["contests"]:
        for entry in contest["contestants"]:
            if entry["kind"] == "leat":
                for sample in entry["samples"]:
                    if "peak_kib" in sample:
                        yield sample["peak_kib"] / 1024, f"{contest['key']}: {entry['name']}"
    for table in results["scale"]:
        for row in table["rows"]:
            if "peak memory, MiB" in row:
                yield row["peak memory, MiB"], table["key"]


def judge_memory(results):
    found = sorted(peaks(results))
    if not found:
        return []
    most, where = found[-1]
    return [{"goal": f"peak memory of any run ({where})", "how": "at most", "bound": MEMORY_MIB, "unit": "MiB", "value": most,
             "lowest": found[0][0], "highest": most, "met": most <= MEMORY_MIB}]


def judge_scale(results):
    """Opening the largest log of the scale section against its smallest."""
    table = next((each for each in results["scale"] if each["key"] == "scale-records"), None)
    if not table or len(table["rows"]) < 2:
        return []
    first, last = table["rows"][0], table["rows"][-1]
    value = last["open, us"] / first["open, us"]
    return [{"goal": f"opening {last['records']:,} records / {first['records']:,}", "how": "times at most", "bound": SAME,
             "unit": "x", "value": value, "lowest": value, "highest": value, "met": value <= SAME}]


def judge_all(results, sizes):
    verdicts = [judge(goal, results) for goal in bulk_goals() + other_goals(sizes)]
    return [verdict for verdict in verdicts if verdict] + judge_memory(results) + judge_scale(results)
