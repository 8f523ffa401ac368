"""A stage of the chaos test: answers each record with the same record, now and then after a while, and sometimes dies or
hangs instead. Some records it never bears, some it refuses; filters say which stay. Arguments: map|filter SEED."""

import json
import os
import random
import sys
import time

kind = sys.argv[1]
generator = random.Random(os.urandom(8))
mood = float(sys.argv[2])

for line in sys.stdin:
    record = json.loads(line)
    number = int(record["value"])
    if number % 211 == 0:
        os._exit(9)
    if generator.random() < 0.002 * mood:
        os._exit(1)
    if generator.random() < 0.0005 * mood:
        time.sleep(60)
    if generator.random() < 0.01 * mood:
        time.sleep(generator.uniform(0, 0.01))
    if number % 97 == 0:
        answer = {"error": "not this one"}
    elif kind == "filter":
        answer = number % 13 != 0
    else:
        answer = {"key": record["key"], "value": record["value"]}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
