# shellcheck shell=bash
# What every case may use. Sourced by tests/cli/case.py in front of the script.

# try COMMAND...: runs it and prints `[status N]` on stdout when that is not 0.
try() {
  local status=0
  "$@" || status=$?
  [[ $status -eq 0 ]] || printf '[status %d]\n' "$status"
}

# lines N: the lines line-0 to line-(N-1).
lines() {
  local i
  for ((i = 0; i < $1; i++)); do printf 'line-%d\n' "$i"; done
}

# wait_for COMMAND...: until it succeeds, at most ten seconds.
wait_for() {
  local i
  for ((i = 0; i < 500; i++)); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.02
  done
  printf 'waited ten seconds for: %s\n' "$*" >&2
  return 1
}

# wait_lines N FILE: until FILE has at least N lines.
wait_lines() {
  wait_for eval "(( \$(wc -l <'$2') >= $1 ))"
}

# wait_status PID: prints the status that a background process ended with.
wait_status() {
  local status=0
  wait "$1" 2>/dev/null || status=$?
  printf '[status %d]\n' "$status"
}

# kill_hard PID: ends a background process without a word about it.
kill_hard() {
  {
    kill -KILL "$1"
    wait "$1" || true
  } 2>/dev/null
}

# hide_sizes: standard input with the sizes of files replaced (they follow from the file system's blocks), and ages.
hide_sizes() {
  sed -E 's/  [0-9.]+ (B|KiB|MiB)( |$)/  SIZE\2/g; s/  [0-9]+s( |$)/  AGE\1/g; s/"size": ?[0-9]+/"size":N/g' | tr -s ' '
}

# as_nobody COMMAND...: as a user without any rights.
as_nobody() {
  setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

# log_file TOPIC [PARTITION]: the first segment of a partition.
log_file() {
  printf '%s/topics/%s/%s/00000000000000000000.log\n' "$LEAT_DATA_DIR" "$1" "${2-0}"
}

# put_byte FILE POSITION HEX: overwrites one byte.
put_byte() {
  printf '%b' "\\x$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
