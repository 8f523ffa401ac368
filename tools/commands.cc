// The table of all commands, one row each.
#include "tools/commands.h"

#include <array>

#include "tools/bench.h"

namespace leat::tools {
namespace {

constexpr std::array kTable = {
    CommandRow{"", "produce", "send records to a topic",
               "echo hello | leat produce readings\n"
               "leat produce readings -f data.txt --key-separator :\n"
               "tail -F /var/log/syslog | leat produce readings -O json\n"
               "leat produce readings --framing json < records.jsonl",
               make_produce},
    CommandRow{"", "consume", "read records of topics",
               "leat consume readings -Bd\n"
               "leat consume readings -T 10 -F '{{key}} {{value}}'\n"
               "leat consume readings -c alerts\n"
               "leat consume readings -Bd -O jsonl | leat produce copy --framing json",
               make_consume},
    CommandRow{"", "copy", "copy topics between directories and clusters, each record once",
               "leat copy ~/.local/share/leat /mnt/backup -d\n"
               "leat copy /srv/leat kafka://broker:9092 readings alerts\n"
               "leat copy kafka://broker:9092/readings /srv/leat -d --consumers\n"
               "leat copy /srv/leat /mnt/backup -d -O json",
               make_copy},
    CommandRow{"", "process", "run records through the stages of a pipeline file",
               "leat process pipeline.toml --check\n"
               "leat process pipeline.toml\n"
               "leat process pipeline.toml -d\n"
               "leat process pipeline.toml --metrics 127.0.0.1:9090",
               make_process},
    CommandRow{"topic", "create", "create topics",
               "leat topic create readings\n"
               "leat topic create readings -p 4 --compression-type lz4 --retention-time 7d\n"
               "leat topic create latest --cleanup compact --if-not-exists",
               make_topic_create},
    CommandRow{"topic", "list", "list all topics",
               "leat topic list\n"
               "leat topic list -O json",
               make_topic_list},
    CommandRow{"topic", "describe", "show settings, partitions and consumers of a topic",
               "leat topic describe readings\n"
               "leat topic describe readings -O json",
               make_topic_describe},
    CommandRow{"topic", "delete", "delete topics, with the offsets of their consumers",
               "leat topic delete readings\n"
               "leat topic delete --if-exists readings alerts\n"
               "leat topic delete --dry-run readings",
               make_topic_delete},
    CommandRow{"topic", "add-partition", "add partitions to a topic",
               "leat topic add-partition readings\n"
               "leat topic add-partition readings -c 4",
               make_topic_add_partition},
    CommandRow{"topic", "set", "change settings of a topic",
               "leat topic set readings retention-time=7d compression-type=zstd\n"
               "leat topic set readings retention-records=none",
               make_topic_set},
    CommandRow{"topic", "trim", "remove the oldest records of a topic",
               "leat topic trim readings --keep 1000\n"
               "leat topic trim readings --before 2026-11-01 --dry-run\n"
               "leat topic trim readings -p 0 --before 500 --yes",
               make_topic_trim},
    CommandRow{"partition", "list", "list partitions and what they hold",
               "leat partition list\n"
               "leat partition list readings -O json",
               make_partition_list},
    CommandRow{"consumer", "list", "list consumers and how far they have read",
               "leat consumer list\n"
               "leat consumer list --lag\n"
               "leat consumer list -t readings -O json",
               make_consumer_list},
    CommandRow{"consumer", "describe", "show the processes of a consumer, and its partitions",
               "leat consumer describe alerts\n"
               "leat consumer describe alerts -O json",
               make_consumer_describe},
    CommandRow{"consumer", "delete", "forget how far consumers have read",
               "leat consumer delete alerts\n"
               "leat consumer delete alerts -t readings -p 0\n"
               "leat consumer delete --if-exists alerts",
               make_consumer_delete},
    CommandRow{"consumer", "seek", "set where a consumer goes on reading",
               "leat consumer seek alerts --to start --dry-run\n"
               "leat consumer seek alerts --to -100 -t readings -p 0\n"
               "leat consumer seek alerts --to -1h --yes\n"
               "leat consumer seek alerts --to-file next --yes",
               make_consumer_seek},
    CommandRow{"store", "serve", "keep the last value of each key of a topic in memory, and answer over HTTP",
               "leat store serve prices --source quotes\n"
               "curl http://127.0.0.1:8080/stores/prices/EURUSD\n"
               "leat store serve prices --source quotes --value json --transform \"jq -c --unbuffered .price\"\n"
               "leat store serve prices --source quotes --partitions 0,1 --replica-partitions 2,3\n"
               "leat -D kafka://broker store serve prices --source quotes --listen 0.0.0.0:80 --token-file token",
               make_store_serve},
    CommandRow{"store", "get", "print the value of a key of a store, without its server",
               "leat store get prices EURUSD\n"
               "leat store get prices EURUSD -O json",
               make_store_get},
    CommandRow{"store", "scan", "print keys and values of a store, without its server",
               "leat store scan prices\n"
               "leat store scan prices --prefix EUR -O json\n"
               "leat store scan prices --keys | sort | head",
               make_store_scan},
    CommandRow{"store", "stats", "show how large a store is, and how far it has come",
               "leat store stats prices\n"
               "leat store stats prices -O json",
               make_store_stats},
    CommandRow{"inspect", "segments", "list the segment files of a topic",
               "leat inspect segments readings\n"
               "leat inspect segments readings -p 0 -O json",
               make_inspect_segments},
    CommandRow{"inspect", "dump", "list the batches in the files of a topic",
               "leat inspect dump readings\n"
               "leat inspect dump readings -p 0 --from 100 --to 199\n"
               "leat inspect dump readings --deep -O json\n"
               "leat inspect dump readings --hex --from 17 --to 17",
               make_inspect_dump},
    CommandRow{"inspect", "index", "list index entries and whether they point at batches",
               "leat inspect index readings\n"
               "leat inspect index readings -p 1",
               make_inspect_index},
    CommandRow{"inspect", "verify", "find what is damaged in a topic, or in the whole data directory",
               "leat inspect verify\n"
               "leat inspect verify readings --deep\n"
               "leat inspect verify --deep -O json",
               make_inspect_verify},
    CommandRow{"inspect", "proof", "prove that a record is in a log, or that a log only grew",
               "leat inspect proof readings 17 > proof.json\n"
               "leat inspect proof --verify proof.json --checkpoint checkpoint --key log.key.pub\n"
               "leat inspect proof readings --consistency 1000 2000 > growth.json\n"
               "leat inspect proof readings --export-tlog /srv/www/readings --sign log.key",
               make_inspect_proof},
    CommandRow{"inspect", "checkpoint", "print the size and the root of a log's tree, signed",
               "leat inspect checkpoint readings --sign log.key > checkpoint\n"
               "leat inspect checkpoint readings -p 0 --size 1000 -O json",
               make_inspect_checkpoint},
    CommandRow{"inspect", "keygen", "make a key that signs checkpoints",
               "leat inspect keygen example.com/readings --out log.key", make_inspect_keygen},
    CommandRow{"", "repair", "mend a damaged topic, and say what goes",
               "leat repair readings\n"
               "leat repair readings --execute\n"
               "leat repair readings -p 0 --execute --yes -O json",
               make_repair},
    CommandRow{"check", "consumer", "tell a monitoring system whether a consumer keeps up",
               "leat check consumer alerts --lag-warn 100 --lag-crit 1000\n"
               "leat check consumer alerts --age-crit 5m\n"
               "leat check consumer alerts -t readings -O json",
               make_check_consumer},
    CommandRow{"check", "store", "tell a monitoring system whether all topics can be read",
               "leat check store\n"
               "leat check store --disk-warn 80 --disk-crit 90",
               make_check_store},
    CommandRow{"config", "show", "show the settings in force",
               "leat config show\n"
               "leat config show --origin",
               make_config_show},
    CommandRow{"bench", "produce", "measure how fast records are appended, and when they are durable",
               "leat bench produce\n"
               "leat bench produce --clients 8 --pipeline 1\n"
               "leat bench produce --rate 5000 --time-limit 30s --size 1KiB\n"
               "leat bench produce --records 10000000 --proofs off -O json",
               make_bench_produce},
    CommandRow{"bench", "consume", "measure how fast records are read",
               "leat bench consume\n"
               "leat bench consume --clients 4 --compression lz4 -O csv",
               make_bench_consume},
    CommandRow{"bench", "e2e", "measure the time from a producer to a follower",
               "leat bench e2e\n"
               "leat bench e2e --rate 1000 --followers 3 --time-limit 1m",
               make_bench_e2e},
    CommandRow{"bench", "groups", "measure consumer groups: throughput, takeover, joining",
               "leat bench groups\n"
               "leat bench groups --clients 8 -p 32 --rounds 50",
               make_bench_groups},
    CommandRow{"", "completions", "print the completion file of a shell",
               "leat completions bash > ~/.local/share/bash-completion/completions/leat\n"
               "leat completions fish > ~/.config/fish/completions/leat.fish",
               make_completions, false},
    CommandRow{"", "version", "print the version",
               "leat version\n"
               "leat version -O json",
               make_version, false},
    CommandRow{"", "help", "explain a command, examples first",
               "leat help produce\n"
               "leat help topic create",
               make_help, false},
};

}  // namespace

std::span<const CommandRow> command_table() {
  return kTable;
}

}  // namespace leat::tools
