#!/usr/bin/env bash
# The at-least-once batch step of leat-consumer-seek(1), with places to be killed at between any two of its parts.
#
# usage: ROUND=NAME [KILL_AT=PLACE] [UNDER_CONSUME=COMMAND] [UNDER_SEEK=COMMAND] batch_step.sh
#
# To process a batch is to have it at done/ROUND. Runs in a session of its own, which all dies at KILL_AT; either leat may
# be run under a command that kills it.
set -u

reach() {
  [[ ${KILL_AT-} != "$1" ]] || kill -KILL 0
}

process() {
  cp "$1" "done/$ROUND.part" && reach processing && mv "done/$ROUND.part" "done/$ROUND"
}

# shellcheck disable=SC2086  # commands with their arguments
reach consume &&
  ${UNDER_CONSUME-} "$LEAT" consume t -c c1 -Bd --offset-strategy manual --offsets-out next \
    -F '{{partition}} {{offset}} {{value}}' >./batch &&
  reach process && process batch && reach seek &&
  ${UNDER_SEEK-} "$LEAT" consumer seek c1 --to-file next --yes >moved &&
  reach end
