#!/usr/bin/python3
"""Prints every record of .log segments as one JSON line, decoded by python3-kafka.

usage: decode_log.py SEGMENT.log...

The segments of one partition are given in order, whole and cleanly closed. Fields of a line: base_offset, offset,
timestamp (ms), key and value (base64 or null), headers ([[key, base64 or null]...]). Everything a third party can
check is checked: magic, checksum, that offsets are dense over the batch headers (fillers, which have no records,
included), that records lie within their batch, that a segment starts at the offset its name says, and that no bytes
are left over. The first fault goes to stderr with file and byte position; exit status 1.

Needs Debian's python3-kafka, and python3-lz4 and python3-zstandard for compressed batches.
"""

import base64
import json
import os
import re
import sys

from kafka.errors import CorruptRecordException
from kafka.record import MemoryRecords

BATCH_LENGTH_PREFIX_BYTES = 12


class Fault(Exception):
    pass


def base64_or_null(value):
    return None if value is None else base64.b64encode(value).decode("ascii")


def line_of(batch, record):
    return json.dumps({
        "base_offset": batch.base_offset,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": base64_or_null(record.key),
        "value": base64_or_null(record.value),
        "headers": [[key, base64_or_null(value)] for key, value in record.headers],
    }, ensure_ascii=True)


def check_and_print_batch(batch, expected_base, out):
    """Prints the records of one batch and returns the offset the next batch must start at."""
    if batch.magic != 2:
        raise Fault(f"magic is {batch.magic}, expected 2")
    if not batch.validate_crc():
        raise Fault(f"the checksum of the batch at offset {batch.base_offset} is wrong")
    if expected_base is not None and batch.base_offset != expected_base:
        raise Fault(f"base offset is {batch.base_offset}, expected {expected_base}")
    end = batch.base_offset + batch.last_offset_delta + 1
    # A batch without records may still carry codec bits (Kafka's cleaner leaves them); there is nothing to unpack.
    if batch._num_records == 0 or batch.is_control_batch:
        return end
    last = batch.base_offset - 1
    try:
        for record in batch:
            if not last < record.offset < end:
                raise Fault(f"record offset {record.offset} does not fit between {last} and {end}")
            last = record.offset
            out.write(line_of(batch, record) + "\n")
    except (CorruptRecordException, UnicodeDecodeError, RuntimeError) as error:
        raise Fault(f"batch at offset {batch.base_offset}: {error}") from error
    return end


def print_segment(path, expected_base, out):
    with open(path, "rb") as file:
        data = file.read()
    name = re.fullmatch(r"(\d{20})\.log", os.path.basename(path))
    if name:
        if expected_base is not None and int(name[1]) != expected_base:
            raise Fault(f"{path}: the segment before ends at offset {expected_base}")
        expected_base = int(name[1])
    position = 0
    records = MemoryRecords(data)
    while records.has_next():
        length = int.from_bytes(data[position + 8:position + BATCH_LENGTH_PREFIX_BYTES], "big", signed=True)
        try:
            expected_base = check_and_print_batch(records.next_batch(), expected_base, out)
        except (Fault, CorruptRecordException) as error:
            raise Fault(f"{path}: byte {position}: {error}") from error
        position += BATCH_LENGTH_PREFIX_BYTES + length
    if position != len(data):
        raise Fault(f"{path}: byte {position}: {len(data) - position} bytes are no whole batch")
    return expected_base


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    expected_base = None
    try:
        for path in sys.argv[1:]:
            expected_base = print_segment(path, expected_base, sys.stdout)
    except (Fault, OSError) as error:
        sys.stdout.flush()
        sys.exit(f"decode_log.py: {error}")


if __name__ == "__main__":
    main()
