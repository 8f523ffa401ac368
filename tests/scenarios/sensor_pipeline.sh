#!/usr/bin/env bash
# The sensor pipeline as shell commands over the built binary: produce, consume in two groups, retain, compress, come
# back after every process has gone. Explains each step. Every figure it prints is computed from records it consumed;
# sensor_pipeline.document holds what the document this scenario comes from prints, for its size on disk and for the test.
#
#   tests/scenarios/sensor_pipeline.sh path/to/leat
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
leat=$(realpath "${1:-$here/../../build/leat}")
work=$(mktemp -d "${TMPDIR:-/tmp}/leat-demo-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Nothing of the user's is read or written: neither data directory nor settings.
while IFS='=' read -r name _; do
  if [[ $name == LEAT_* ]]; then unset "$name"; fi
done < <(env)
: >"$work/config.toml"
export LEAT_CONFIG=$work/config.toml LEAT_DATA_DIR=$work/data

bold='' blue='' green='' plain=''
if [[ -t 1 && -z ${NO_COLOR-} && ${TERM-dumb} != dumb ]]; then
  bold=$'\033[1m' blue=$'\033[1;34m' green=$'\033[32m' plain=$'\033[0m'
fi

step=0
# explain TITLE SENTENCE...: the heading of a step.
explain() {
  step=$((step + 1))
  printf '\n%s%d. %s%s\n' "$blue" "$step" "$1" "$plain"
  shift
  printf '   %s\n' "$@"
}

# show COMMAND: the command as one would type it.
show() { printf '   %s$ %s%s\n' "$bold" "$1" "$plain"; }

# result: what a command printed, set apart.
result() { sed "s/^.*\$/   $green&$plain/"; }

# readings FROM COUNT: COUNT readings in the order of time, as `sensor<tab>{"temp":...,"ts":...}`.
readings() {
  awk -v from="$1" -v count="$2" 'BEGIN {
    for (i = from; i < from + count; i++)
      printf "sensor-%c\t{\"temp\":%.1f,\"ts\":%d}\n", 97 + i % 4, 20.0 + (i * 0.1) % 20.0, 1700000000 + i
  }'
}

# Records come as `key {"temp":T,"ts":S}`; these make $2 the temperature and $3 the time.
# shellcheck disable=SC2016  # the dollars are for awk
fields='{ gsub(/[{}":,a-z]+/, " ", $2); split($2, part, " "); temp = part[1] + 0; ts = part[2] }'

# per_sensor: smallest, largest and mean temperature of each sensor.
per_sensor() {
  awk "$fields"'
    { if (!($1 in n) || temp < low[$1]) low[$1] = temp
      if (!($1 in n) || temp > high[$1]) high[$1] = temp
      sum[$1] += temp; n[$1]++; total++ }
    END {
      printf "Polled %d records.\n", total
      for (s in n) printf "%s: min=%.1f, max=%.1f, avg=%.1f (%d readings)\n", s, low[s], high[s], sum[s] / n[s], n[s] | "sort"
    }'
}

# alerts LIMIT SHOWN: the readings above LIMIT, the first SHOWN of them one by one.
alerts() {
  awk -v limit="$1" -v shown="$2" "$fields"'
    temp > limit { if (++n <= shown) printf "ALERT: %s temp=%.1f at ts=%d\n", $1, temp, ts }
    END {
      if (n > shown) printf "... and %d more alerts\n", n - shown
      printf "Total alerts: %d out of %d readings\n", n, NR
    }'
}

command_of() { "$leat" consume sensors -c "$1" -Bd -F '{{key}} {{value}}'; }

printf '%sSensor pipeline%s: four sensors, one topic, two consumers, no broker.\n' "$bold" "$plain"
printf 'Everything is in %s, which goes away at the end.\n' "$work"

explain 'A topic' 'LZ4 for what producers send, and of each partition only the newest 500 records.'
show 'leat topic create sensors --compression-type lz4 --retention-records 500'
"$leat" topic create sensors --compression-type lz4 --retention-records 500 | result

explain 'Single records' '200 readings, a process each: every one is on disk when its process ends. The key is the sensor.'
show "printf 'sensor-a\\t{\"temp\":20.0,\"ts\":1700000000}\\n' | leat produce sensors --key-separator '\\t'   # 200 times"
while IFS= read -r reading; do
  printf '%s\n' "$reading" | "$leat" produce sensors --key-separator '\t'
done < <(readings 0 200)
show 'leat topic list'
"$leat" topic list | result

explain 'Batches' '800 more in 8 batches of 100: one process and one sync a batch, not a record.'
show "readings 200 100 | leat produce sensors --key-separator '\\t'   # 8 times"
for batch in 0 1 2 3 4 5 6 7; do
  readings $((200 + batch * 100)) 100 | "$leat" produce sensors --key-separator '\t'
done
show 'leat topic list'
"$leat" topic list | result

explain 'The analytics group' 'Reads what retention has left, works out each sensor, and is remembered by its name.'
show "leat consume sensors -c analytics -Bd -F '{{key}} {{value}}' | per_sensor"
command_of analytics | per_sensor | result

explain 'The alerts group' 'Reads the same records from its own place; the other group does not matter to it.'
show "leat consume sensors -c alerts -Bd -F '{{key}} {{value}}' | alerts above 35"
command_of alerts | alerts 35.0 5 | result
show 'leat consumer list'
"$leat" consumer list | result

explain 'Everything stops' 'There is no broker to stop: every process so far has ended. Who still has the directory open?'
users=$(find /proc/[0-9]*/fd -lname "$LEAT_DATA_DIR/*" 2>/dev/null | wc -l || true)
printf '%s\n' "$users processes have it open." | result

explain 'Back again' 'A new process asks for the analytics group: it goes on where the group was.'
show 'leat consume sensors -c analytics -Bd | wc -l'
printf 'Polled %d records (expected 0).\n' "$(command_of analytics | wc -l)" | result

explain 'Only what is new' 'Readings 1000 to 1099 are produced; the group gets those and no others.'
show "readings 1000 100 | leat produce sensors --key-separator '\\t'"
readings 1000 100 >"$work/new"
"$leat" produce sensors --key-separator '\t' -f "$work/new"
printf 'Produced %d more readings.\n' "$(wc -l <"$work/new")" | result
command_of analytics >"$work/polled"
printf 'Polled %d records (expected %d).\n' "$(wc -l <"$work/polled")" "$(wc -l <"$work/new")" | result
if cmp -s "$work/polled" <(tr '\t' ' ' <"$work/new"); then
  printf '%s\n' 'They are exactly the new ones, in order.' | result
else
  printf '%s\n' 'They are not the new ones.' | result
  exit 1
fi

explain 'On disk' 'All of it: records, indexes, the shared page, the place of each group.'
du -sb "$LEAT_DATA_DIR" | awk '{printf "Data directory: %.1f KB\n", $1 / 1024}' | result
printf '   (the document this follows: %s)\n' "$(sed -n 's/^Data directory: //p' "$here/sensor_pipeline.document")"
