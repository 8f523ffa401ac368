// `leat consumer describe`: the processes of a consumer, and how far each partition has been read.
#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "leat/log/topic_settings.h"
#include "tools/commands.h"
#include "tools/options.h"
#include "tools/topic_rows.h"

namespace leat::tools {
namespace {

using Row = std::vector<Cell>;

const std::vector<Column> kMemberColumns = {{"PID", "pid"}, {"HOST", "host"}, {"COMMAND", "command"}};

const std::vector<Column> kPartitionColumns = {
    {"TOPIC", "topic"}, {"PARTITION", "partition"}, {"OFFSET", "offset"},
    {"NEXT", "next"},   {"START", "start"},         {"END", "end"},
    {"LAG", "lag"},     {"OWNER", "owner"},         {"LAST-SEEN", "last_seen"}};

std::string this_host() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : std::string();
}

Row member_row(const GroupMember& member) {
  return {cell(member.pid), cell(member.host), cell(member.command)};
}

Cell offset_cell(std::optional<Offset> offset) {
  return offset ? cell(offset->value) : null_cell();
}

Cell owner_cell(const std::optional<GroupMember>& owner, const std::string& host) {
  if (!owner) return null_cell();
  const std::string text =
      owner->host == host ? std::to_string(owner->pid) : fmt::format("{}@{}", owner->pid, owner->host);
  return {text, json_object(kMemberColumns, member_row(*owner))};
}

std::vector<Row> member_rows(const ConsumerDescription& consumer) {
  std::vector<Row> rows;
  for (const GroupMember& member : consumer.members) rows.push_back(member_row(member));
  return rows;
}

std::vector<Row> partition_rows(const ConsumerDescription& consumer) {
  const TimestampMs now = now_ms();
  const std::string host = this_host();
  std::vector<Row> rows;
  for (const ConsumerPartition& partition : consumer.partitions) {
    rows.push_back({cell(partition.topic), cell(std::int64_t{partition.partition.value}),
                    last_seen_cell(partition.next), offset_cell(partition.next), offset_cell(partition.start),
                    offset_cell(partition.end), optional_cell(partition.lag), owner_cell(partition.owner, host),
                    partition.committed_at ? age_cell(*partition.committed_at, now) : null_cell()});
  }
  return rows;
}

class ConsumerDescribe : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_name(options, name_, "name of the consumer");
    add_list_format(options, format_);
  }

  Result<void> run(Context& context) override {
    TRY(check_name("consumer", name_));
    const auto backend = TRY(context.open_backend());
    const ConsumerDescription consumer = TRY(backend->describe_consumer(name_));
    const std::vector<Row> members = member_rows(consumer);
    const std::vector<Row> partitions = partition_rows(consumer);
    if (format_ == ListFormat::json) {
      return print_rows(format_, {{"", "consumer"}, {"", "members"}, {"", "partitions"}},
                        {{cell(name_), array_cell(kMemberColumns, members), array_cell(kPartitionColumns, partitions)}},
                        "");
    }
    TRY(print_rows(format_, kMemberColumns, members, "No members found"));
    if (!members.empty()) TRY(out().write("\n"));
    return print_rows(format_, kPartitionColumns, partitions, "No partitions found");
  }

 private:
  std::string name_;
  ListFormat format_ = ListFormat::table;
};

}  // namespace

std::unique_ptr<Command> make_consumer_describe() {
  return std::make_unique<ConsumerDescribe>();
}

}  // namespace leat::tools
