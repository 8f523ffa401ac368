#!/usr/bin/env bash
# What `./dev demo` prints, line by line, is what the document prints; and it leaves nothing behind.
set -euo pipefail

scenarios=$LEAT_ROOT/tests/scenarios
"$scenarios/sensor_pipeline.sh" "$LEAT" >output 2>errors || { cat output errors; exit 1; }
test ! -s errors || { cat errors; exit 1; }

# Every line of the document, in its order, but the size: that is ours.
grep -v '^Data directory' "$scenarios/sensor_pipeline.document" >expected
sed 's/^   //' output | grep -Fx -f expected | awk '!seen[$0]++' >got
diff -u expected got
grep -q 'They are exactly the new ones, in order.' output
grep -q '^   0 processes have it open.' output

# Smaller than the document's, and said beside it.
ours=$(sed -n 's/^ *Data directory: \([0-9.]*\) KB$/\1/p' output)
theirs=$(sed -n 's/^ *Data directory: \([0-9.]*\) KB$/\1/p' "$scenarios/sensor_pipeline.document")
awk -v ours="$ours" -v theirs="$theirs" 'BEGIN { exit !(ours > 0 && ours < theirs) }'
grep -qF "$theirs KB" output

# The script holds none of the figures.
for figure in 147 142 125 39.6 30.8 31.1 562.8; do
  if grep -qF -- "$figure" "$scenarios/sensor_pipeline.sh"; then
    echo "sensor_pipeline.sh holds the figure $figure"
    exit 1
  fi
done

# Nothing is left of it, and the user's data directory was not touched.
test -z "$(ls -A "$TMPDIR")"
test ! -e "$LEAT_DATA_DIR"

# Colour on a terminal, none without one.
if grep -q $'\033' output; then echo 'escapes without a terminal'; exit 1; fi
on-terminal --fds 12 -- "$scenarios/sensor_pipeline.sh" "$LEAT" >coloured
grep -qF '\x1b[1;34m' coloured
