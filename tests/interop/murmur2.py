#!/usr/bin/python3
"""Prints the partition python3-kafka's default partitioner gives each key on stdin.

usage: murmur2.py [-0] PARTITIONS < KEYS

Keys are lines, or with -0 end in NUL; their bytes are taken as they are. One number a line, in the order of the keys.
"""

import sys

from kafka.partitioner.default import DefaultPartitioner


def main():
    arguments = sys.argv[1:]
    separator = b"\n"
    if arguments[:1] == ["-0"]:
        separator = b"\0"
        del arguments[0]
    if len(arguments) != 1 or not arguments[0].isdecimal() or int(arguments[0]) == 0:
        sys.exit(__doc__)
    partitions = list(range(int(arguments[0])))
    keys = sys.stdin.buffer.read().split(separator)
    if keys[-1] == b"":
        keys.pop()
    partition_of = DefaultPartitioner()
    for key in keys:
        print(partition_of(key, partitions, partitions))


if __name__ == "__main__":
    main()
