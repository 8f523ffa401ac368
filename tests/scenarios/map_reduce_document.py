"""The map-reduce document's demo as its file reads, but for the sink."""

PIPELINE = """
[source]
topics = ["ingest-performance-metrics"]
group = "test-map-reduce-consumer"
reset = "earliest"

[[stage]]
kind = "par_map"
builtin = "template"
template = '{"partition":{{partition}},"offset":{{offset}},"timestamp":{{time_s}}}'

[[stage]]
kind = "reduce"
SINK
max_records = 128
max_wait = "4s"
on_shutdown = "flush"

[error]
sink = "stderr"
"""


def pipeline(*sink):
    """`sink` are the lines of the reduce that say where to."""
    return PIPELINE.replace("SINK", "\n".join(sink))
