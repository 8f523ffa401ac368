"""Every command as a user would give it, on a directory and on a cluster: outputs, errors and exit statuses are the same, but for what
Kafka cannot do. Each of those stands here with its reason."""

import os
import re
import shutil
import subprocess

# One after the other on the same records; what has no `leat` in it gets one.
STEPS = """
topic create one
topic create one
topic create one --if-not-exists
topic create many -p 3 --retention-time 2d --retention-bytes 1GiB --segment-size 64MiB --compression-type lz4 --max-record-size 2MiB
topic create a b c -d
topic create a b c one
topic create compacted --cleanup compact
topic create zstd --compression-type zstd --dry-run
topic create bad/name
topic create ''
topic create one --partitions 0
topic create one --partitions 1000000
topic create one --retention-time yesterday
topic list --names
topic list -O json
topic list
topic describe many
topic describe many -O json
topic describe man
topic set many retention-time=3d
topic set many retention-bytes=none compression-type=zstd
topic set many colour=blue
topic set man retention-time=3d
topic describe many -O json
partition list many
partition list many -O json
partition list man
partition list one many -O json

printf 'a\\nb\\nc\\n' | produce one --timestamp 2024-01-02T03:04:05Z -O text
printf 'd\\r\\ne\\n' | produce one --timestamp 2024-01-02T03:04:06Z --crlf -O json
printf 'f\\0g\\0' | produce one -0 --timestamp 1704164647000
printf 'h--i--' | produce one --delimiter -- --timestamp 1704164648000
printf 'j\\nk\\n' | produce one --raw --key whole -H name=value -H other= --timestamp 1704164649000
printf 'l:1\\nm:2\\nn\\n' | produce one --key-separator : --on-error skip --timestamp 1704164650000
printf 'l:1\\nm:2\\nn\\no:3\\n' | produce one --key-separator : --timestamp 1704164650000
printf '\\n' | produce one -Z --key tombstone --timestamp 1704164651000
printf '\\0\\0\\0\\1x\\377\\377\\377\\377' | produce one --framing u32be --timestamp 1704164652000
printf '%s\\n' '{"key":"k","value":"v","headers":[["h","v"],["n",null]],"timestamp":1704164653000}' | produce one --framing json
printf '%s\\n' '{"key":' | produce one --framing json
printf 'p\\nq\\nr\\n' | produce one -n 2 --timestamp 1704164654000 -O text
printf 's\\n' | produce one --dry-run
printf 's\\n' > file1; printf 't\\n' > file2; leat produce one -f file1 -f file2 --timestamp 1704164655000
produce one -f nowhere
produce on < /dev/null
produce one -p 7 < /dev/null
produce one -p 0 --linger 5ms --batch-size 1KiB --timestamp 1704164656000 < file1
produce one --durability sync --compression zstd --timestamp 1704164657000 < file1
produce one --compression lz4 --timestamp 1704164658000 < file1
produce one --compression snappy < file1
printf 'much too long\\n' | produce one --max-request-size 5B
head -c 3000000 /dev/zero | produce many --raw --max-request-size 4MiB
printf 'nokey\\n' | produce compacted
printf 'k:1\\nk:2\\n' | produce compacted --key-separator : -O text
topic create wide -p 3
seq 1 300 | sed 's/.*/key&:value &/' | produce wide --key-separator : -p 1 --timestamp 1704164660000
seq 1 300 | sed 's/.*/key&:value &/' | produce wide --key-separator : --timestamp 1704164661000

timeout -s INT 1 leat consume one
consume one -d
consume one -Bd
consume one -Bd -O jsonl
consume one -Bd -O json
consume one -Bd -O text
consume one -Bd -O binary
consume one -Bd -O raw
consume one -Bd -O none
consume one -Bdk
consume one -Bd -F '{{key}} {{value}} {{offset}} {{partition}} {{time}} {{topic}}'
consume one -Bd -F '{{nothing}}'
consume one -Bd --framing u32be
consume one -Bd --framing nul
consume one -Bd --key-filter l
consume one -H 3 -d
consume one -T 3 -d
consume one --start 4 -d -F '{{offset}}'
consume one --start 4 --end 6 -F '{{offset}}'
consume one --start 6 --end 4
consume one -B -T 3
consume one --start 1000 -d
consume one --since 2024-01-02T03:04:08Z -d
consume one --since 2024-01-02T03:04:08Z --until 2024-01-02T03:04:10Z
consume one --since -1h -d
consume one -B -n 2
consume one -B -n 0
consume one -B --idle-timeout 300ms --unbuffered
consume one -Bd --isolation read_uncommitted
consume one -Bd -p 0
consume one -Bd -p 3
consume on -Bd
consume wide -Bd -O jsonl
consume wide -T 2 -d -O jsonl
consume wide -H 90 --end 100 -d -O jsonl
consume wide -Bd -p 0 -p 2 -O jsonl
consume one wide -T 1 -d -O jsonl
consume compacted -Bd -k

consume one -B -d -c c1 -n 5
consume one -d -c c1 -O none
consume one -d -c c1
consume one -Bd -c c1
consume one -Bd -c c1 --reset -n 1
consume one -Bd -c m1 --offset-strategy manual -n 3 --offsets-out next; cat next
consumer list -t one
leat consumer seek m1 --to-file next --yes; leat consume one -d -c m1 -n 1
consume one -d -c m1 --offset-strategy none -n 2
consume one -d -c m1 --offset-strategy none -n 2
consume one -d -c end1
consume one -d -c end1
consume wide -Bd -c c1 -O none
consumer list
consumer list -O json
consumer list --lag
consumer list --lag -t one -O json
consumer describe c1
consumer describe c1 -O json
consumer describe c9
consumer seek c1 --to start -t one --yes
consumer seek c1 --to end -t one --dry-run
consumer seek c1 --to 3 -t one --yes
consumer seek c1 --to +2 -t one --yes
consumer seek c1 --to -1 -t one --yes
consumer seek c1 --to 2024-01-02T03:04:08Z -t one --yes
consumer seek c1 --to 1000 -t one --yes
consumer seek c1 --to start -t one -p 3 --yes
consumer seek c1 --to start
consumer seek c8 --to start --yes
consumer seek c8 --to 2 -t one --yes
consumer seek c1 --to start -t on --yes
consume one -d -c c8 -n 1
check consumer c1
check consumer c1 --lag-warn 1 --lag-crit 100000
check consumer c1 --lag-crit 1 -O json
check consumer c9
check store
consumer delete c1 -t wide -p 0 --dry-run
consumer delete c1 -t wide -p 0
consumer delete c1 -t wide
consumer list -O json
consumer delete c9
consumer delete c9 --if-exists
consumer delete c1 c8 end1

topic trim one --before 3 --dry-run
topic trim one --before 3
topic trim one --before 3 --yes
topic trim one --before 2024-01-02T03:04:08Z --yes
topic trim one --keep 4 --yes
topic trim one --keep 4 -p 9 --yes
partition list one -O json
consume one -Bd -F '{{offset}} {{value}}'
consume one --start 1 -d -F '{{offset}}'
consume one --start 1 -d --strict
consume one -d -c m1 -F '{{offset}}'
topic add-partition wide -c 2
topic add-partition wide -c 0
topic add-partition man
topic describe wide -O json
printf 'key1:x\\n' | produce wide --key-separator : -p 4 -O text
consume wide -Bd -p 4 -O text
consumer describe m1 -O json
bench produce --records 200 --size 20 > /dev/null
bench consume --records 200 --size 20 > /dev/null
bench e2e --records 100 --size 20 > /dev/null
topic delete one -d
topic delete one
topic delete one
topic delete one --if-exists
topic delete one wide -c
topic list --names
consumer list
"""

# What Kafka cannot do, in one sentence, and a part of that.
REFUSED = {
    "leat topic create no --retention-records 5": "not by count",
    "leat topic create no --durability os": "in-sync replicas",
    "leat topic create no --proofs on": "no tree of hashes",
    "leat topic set one retention-records=5": "not by count",
    "leat topic set one durability=os": "in-sync replicas",
    "leat topic set one proofs=on": "no tree of hashes",
    "leat produce one --producer-id me": "--producer-id",
    "leat inspect segments one": "data director",
    "leat inspect dump one": "data director",
    "leat inspect index one": "data director",
    "leat inspect verify one": "data director",
    "leat inspect proof one 0": "data director",
    "leat inspect checkpoint one": "data director",
    "leat repair one": "data director",
}


def commands():
    for line in STEPS.split("\n"):
        if line:
            words = line.split(" | ")
            if not re.search(r"\bleat ", line):
                words[-1] = "leat " + words[-1]
            yield " | ".join(words)


# Kafka does not tell sizes, segments and when an offset was stored, and has no proofs; a run does not have the times of another.
UNEQUAL = [
    (r"\b20[2-9]\d-(?!01-02T03)\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
    (r'"(size|segments|age_ms)":\d+', r'"\1":null'),
    (r'"last_seen":"TIME"', '"last_seen":null'),
    (r'"proofs":"on"|proofs +on', "no proofs"),
    (r'"proofs":"off"|proofs +off', "no proofs"),
    (r"\b\d+(\.\d)? ([KM]i)?B\b", "-"),
    (r" age=[\d.]+s;;;0", ""),
    (r", -, disk [\d.]+% used| bytes=\d+B;;;0| disk_used=[\d.]+%;;;0;100", ""),
    (r"(?m)\b\d+(m \d+)?s(?= +\d+$|$)", "-"),
    (r"(?m)^(  \S+ +\d+ +)1( +- )", r"\1-\2"),
    (r" +", " "),
]


def normal(text, url, directory):
    text = text.replace(url, "PLACE").replace(directory, "PLACE")
    for pattern, replacement in UNEQUAL:
        text = re.sub(pattern, replacement, text)
    return text


def run(command, place, work):
    done = subprocess.run(["/bin/sh", "-c", command], cwd=work, env={**os.environ, "LEAT_DATA_DIR": place}, timeout=90,
                          stdin=subprocess.DEVNULL, capture_output=True)
    return done.returncode, done.stdout.decode("utf-8", "backslashreplace"), done.stderr.decode("utf-8", "backslashreplace")


def check(url):
    """The number of commands, and those that differ as text."""
    places = {"directory": os.path.abspath("same"), "cluster": url}
    count, complaints = 0, []
    for place in places:
        os.makedirs(f"work-{place}", exist_ok=True)
    for command in commands():
        count += 1
        answers = {}
        for name, place in places.items():
            status, out, errors = run(command, place, f"work-{name}")
            answers[name] = (status, normal(out, url, places["directory"]), normal(errors, url, places["directory"]))
        if answers["directory"] == answers["cluster"]:
            continue
        complaints.append(f"$ {command}\n" + "".join(
            f"{label} {name}: {answers[name][i]!r}\n" for i, label in enumerate(("status", "stdout", "stderr"))
            for name in places if answers["directory"][i] != answers["cluster"][i]))
    run("leat topic create one", url, "work-cluster")
    for command, part in REFUSED.items():
        count += 1
        status, out, errors = run(command, url, "work-cluster")
        if status != 2 or out or part not in errors or errors.count("\n") != 1 or not errors.startswith("leat: error: "):
            complaints.append(f"$ {command}\nstatus {status}, expected 2 and one sentence with {part!r}: {out!r} {errors!r}\n")
    run("leat topic delete one", url, "work-cluster")
    return count, complaints
