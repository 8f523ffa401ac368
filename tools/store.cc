// `leat store serve|get|scan|stats`: a key-value store kept from a topic, and a look at one without its server.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "leat/base/base64.h"
#include "leat/log/partitioner.h"
#include "leat/pipe/envelope.h"
#include "leat/store/replay.h"
#include "leat/store/store_partition.h"
#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/json_text.h"
#include "tools/options.h"
#include "tools/store_place.h"
#include "tools/store_serve.h"
#include "tools/whole_file.h"

namespace leat::tools {
namespace {

constexpr std::size_t kEnvFileBytesMax = 1 << 20;
constexpr const char* kEnvFile = ".env";

// Of a file that was named, or of .env where there is one.
Result<std::vector<EnvLine>> read_env_file(const std::optional<std::string>& named) {
  const std::string path = named.value_or(kEnvFile);
  const auto text = read_whole_file(path, kEnvFileBytesMax);
  if (!text && text.error().code == Code::not_found && !named) return std::vector<EnvLine>{};
  if (!text) return std::unexpected(text.error());
  return parse_env_file(*text, path);
}

// Completes what flags say by the environment and the files.
Result<void> add_all(StoreTexts& texts, const Context& context, const std::optional<std::string>& env_file) {
  const auto lines = TRY(read_env_file(env_file));
  add_environment(texts, process_environment, lines, env_file.value_or(kEnvFile));
  add_file(texts, context.store_settings());
  return {};
}

void add_env_file(OptionSet& options, std::optional<std::string>& env_file) {
  add_text(options, "--env-file", env_file, "variables that the environment lacks (default: .env, where there is one)",
           "FILE");
}

class StoreServe final : public Command {
 public:
  void add_options(OptionSet& options) override {
    options.add_option("ID", texts_["id"], "the name of the store");
    for (const StoreSettingRow& row : kStoreSettings) {
      if (row.flag.empty()) continue;
      const std::string flag(row.flag);
      const std::string help(row.help);
      if (row.placeholder.empty()) {
        options.add_flag(flag, flags_[row.key], help);
      } else {
        add_text(options, flag, values_[row.key], help, std::string(row.placeholder));
      }
    }
    add_env_file(options, env_file_);
  }

  Result<void> run(Context& context) override {
    StoreTexts texts;
    if (!texts_["id"].empty()) texts["id"] = {texts_["id"], "ID", Code::usage};
    for (const StoreSettingRow& row : kStoreSettings) {
      if (flags_[row.key]) texts[row.key] = {"true", std::string(row.flag), Code::usage};
      if (values_[row.key]) texts[row.key] = {*values_[row.key], std::string(row.flag), Code::usage};
    }
    TRY(add_all(texts, context, env_file_));
    return serve_store(context, TRY(resolve_store(texts)));
  }

 private:
  std::map<std::string_view, std::string> texts_;
  std::map<std::string_view, bool> flags_;
  std::map<std::string_view, std::optional<std::string>> values_;
  std::optional<std::string> env_file_;
};

// What get, scan and stats share: a store as its snapshot and changelog have it.
class StoreLook : public Command {
 public:
  void add_options(OptionSet& options) override {
    options.add_option("ID", id_, "the name of the store")->required();
    add_text(options, "--changelog", changelog_, "the changelog of the store (default: ID-changelog)", "TOPIC");
    add_text(options, "--snapshot-dir", snapshot_dir_, "where the server writes its snapshots (default: as the server)",
             "DIR");
    add_env_file(options, env_file_);
  }

 protected:
  Result<void> open(Context& context) {
    TRY(check_name("store", id_));
    const std::string location = TRY(settle(context));
    TRY(check_name("topic", *changelog_));
    backend_ = TRY(location.empty() ? context.open_backend() : context.open_backend_at(location));
    partitions_ = TRY(check_changelog(*backend_, *changelog_)).partitions;
    const auto base = snapshot_base(location, snapshot_dir_.value_or(""), false);
    if (!base) return {};
    // Without a place for them there are none.
    if (auto found = SnapshotPlace::find(*base, id_)) snapshots_ = *std::move(found);
    return {};
  }

  // Fills in what flags did not say from where the server has it, unless that is another store's. Where to look.
  Result<std::string> settle(const Context& context) {
    StoreTexts texts;
    TRY(add_all(texts, context, env_file_));
    if (const auto of = texts.find("id"); of != texts.end() && of->second.text != id_) texts.clear();
    const auto text_of = [&](std::string_view key, const std::string& built_in) {
      const auto found = texts.find(key);
      return found == texts.end() ? built_in : found->second.text;
    };
    if (!changelog_) changelog_ = text_of("changelog", id_ + "-changelog");
    if (!snapshot_dir_) snapshot_dir_ = text_of("snapshot_dir", "");
    return store_location(context, text_of("brokers", ""));
  }

  // Where the partition is replayed from; nothing where no store has begun it.
  Result<std::optional<ReplayFrom>> replay_of(PartitionId partition) {
    const auto reservation = TRY(read_reservation(*backend_, *changelog_, partition));
    if (!reservation) return std::nullopt;
    TRY(check_reservation(*reservation, *changelog_, {id_, ""}));
    return ReplayFrom{.backend = backend_.get(),
                      .changelog = *changelog_,
                      .partition = partition,
                      .incarnation = reservation->incarnation,
                      .snapshots = snapshots_ ? &*snapshots_ : nullptr,
                      .stop = &stop_requested(),
                      .notice = [](const std::string& sentence) { print_warning(sentence); }};
  }

  // Calls `use` for each partition that has been begun, restored.
  Result<void> for_each_partition(const std::function<Result<void>(const StorePartition&)>& use) {
    for (PartitionId p{0}; p.value < partitions_; p += 1) {
      const auto from = TRY(replay_of(p));
      if (!from) continue;
      StorePartition partition(p, StoreRole::replica);
      TRY(partition.restore(*from, 0));
      TRY(use(partition));
    }
    return {};
  }

  std::string id_;
  std::optional<std::string> changelog_;
  std::optional<std::string> snapshot_dir_;
  std::optional<std::string> env_file_;
  std::unique_ptr<Backend> backend_;
  std::optional<SnapshotPlace> snapshots_;
  std::int32_t partitions_ = 0;
};

enum class ValueFormat : std::uint8_t { text, raw, json };
constexpr std::array<std::pair<std::string_view, ValueFormat>, 3> kValueFormats = {
    {{"text", ValueFormat::text}, {"raw", ValueFormat::raw}, {"json", ValueFormat::json}}};

void append_bytes(std::string& to, std::string_view name, std::string_view bytes) {
  std::string text;
  if (append_if_utf8(text, bytes)) {
    to += fmt::format("\"{}\":{}", name, text);
    return;
  }
  to += fmt::format("\"{}_b64\":\"", name);
  append_base64(to, bytes);
  to += '"';
}

std::string item_json(PartitionId partition, const StoredValue& value) {
  std::string json = "{";
  append_bytes(json, "key", value.key);
  json += ',';
  append_bytes(json, "value", value.value);
  json += fmt::format(",\"partition\":{},\"offset\":{}}}", partition.value, value.offset.value);
  if (stdout_is_terminal()) escape_json_controls(json, 0);
  return json;
}

std::string shown(std::string_view bytes) {
  return stdout_is_terminal() ? escape_controls(bytes) : std::string(bytes);
}

class StoreGet final : public StoreLook {
 public:
  void add_options(OptionSet& options) override {
    StoreLook::add_options(options);
    options.add_option("KEY", key_, "the key")->required();
    add_choice(options, "-O,--output", format_, kValueFormats, "how the value is printed (default: text)");
  }

  Result<void> run(Context& context) override {
    TRY(open(context));
    // Where the partitioner puts it first, as a server looks.
    std::vector<PartitionId> order;
    for (PartitionId p{0}; p.value < partitions_; p += 1) order.push_back(p);
    std::ranges::rotate(order, order.begin() + partition_for_key(as_bytes(key_), partitions_).value);
    std::ranges::sort(order.begin() + 1, order.end());
    for (const PartitionId p : order) {
      const auto from = TRY(replay_of(p));
      if (!from) continue;
      std::optional<std::string> value;
      Offset offset{};
      TRY(replay_partition(
          *from,
          [&](const Change& change) {
            if (change.key != key_) return;
            value = change.value;
            offset = change.source;
          },
          [&](std::int64_t) { value.reset(); }));
      if (value) return print(p, {key_, *value, offset});
    }
    return fail(Code::not_found, fmt::format("store \"{}\" has no key \"{}\"", id_, escape_controls(key_)));
  }

 private:
  Result<void> print(PartitionId partition, const StoredValue& value) const {
    if (format_ == ValueFormat::raw) return out().write(value.value);
    if (format_ == ValueFormat::json) return out().write(item_json(partition, value) + "\n");
    return out().write(shown(value.value) + "\n");
  }

  std::string key_;
  ValueFormat format_ = ValueFormat::text;
};

enum class ScanFormat : std::uint8_t { text, json };
constexpr std::array<std::pair<std::string_view, ScanFormat>, 2> kScanFormats = {
    {{"text", ScanFormat::text}, {"json", ScanFormat::json}}};

class StoreScan final : public StoreLook {
 public:
  void add_options(OptionSet& options) override {
    StoreLook::add_options(options);
    add_text(options, "--prefix", prefix_, "only keys that begin with this", "PREFIX");
    add_count(options, "-n", limit_, "stop after N keys");
    options.add_flag("--keys", keys_only_, "only the keys, one a line");
    add_choice(options, "-O,--output", format_, kScanFormats, "lines of [KEY] VALUE, or an array (default: text)");
  }

  Result<void> run(Context& context) override {
    TRY(open(context));
    if (format_ == ScanFormat::json) TRY(out().write("["));
    TRY(for_each_partition([this](const StorePartition& partition) { return print(partition); }));
    if (format_ == ScanFormat::json) TRY(out().write("]\n"));
    return {};
  }

 private:
  Result<void> print(const StorePartition& partition) {
    Result<void> written;
    partition.table().scan(std::nullopt, [&](const StoredValue& value) {
      if (limit_ && count_ >= *limit_) return false;
      if (stop_requested().load()) written = fail(Code::interrupted, "stopped");
      if (written && value.key.starts_with(prefix_.value_or(""))) written = print(partition.id(), value);
      return written.has_value() && !out().broken();
    });
    return written;
  }

  Result<void> print(PartitionId partition, const StoredValue& value) {
    const bool first = count_++ == 0;
    if (format_ == ScanFormat::json) return out().write((first ? "" : ",\n ") + item_json(partition, value));
    if (keys_only_) return out().write(shown(value.key) + "\n");
    return out().write(fmt::format("[{}] {}\n", shown(value.key), shown(value.value)));
  }

  std::optional<std::string> prefix_;
  std::optional<std::int64_t> limit_;
  bool keys_only_ = false;
  ScanFormat format_ = ScanFormat::text;
  std::int64_t count_ = 0;
};

class StoreStats final : public StoreLook {
 public:
  void add_options(OptionSet& options) override {
    StoreLook::add_options(options);
    add_list_format(options, format_);
  }

  Result<void> run(Context& context) override {
    TRY(open(context));
    std::vector<std::vector<Cell>> rows;
    TRY(for_each_partition([&](const StorePartition& partition) -> Result<void> {
      const Replay& replay = partition.replay();
      rows.push_back({cell(partition.id().value), cell(partition.table().size()),
                      size_cell(partition.table().payload_bytes()), cell(replay.position.source_next.value),
                      cell(replay.position.changelog_next.value), cell(replay.from_changelog),
                      replay.snapshot_at ? age_cell(*replay.snapshot_at, now_ms()) : null_cell()});
      return {};
    }));
    const std::vector<Column> columns = {{"PARTITION", "partition"},
                                         {"KEYS", "keys"},
                                         {"SIZE", "bytes"},
                                         {"NEXT", "next_offset"},
                                         {"CHANGELOG", "changelog_offset"},
                                         {"REPLAYED", "replayed"},
                                         {"SNAPSHOT", "snapshot_at"}};
    return print_rows(format_, columns, rows, "No store has begun there");
  }

 private:
  ListFormat format_ = ListFormat::table;
};

}  // namespace

std::unique_ptr<Command> make_store_serve() {
  return std::make_unique<StoreServe>();
}

std::unique_ptr<Command> make_store_get() {
  return std::make_unique<StoreGet>();
}

std::unique_ptr<Command> make_store_scan() {
  return std::make_unique<StoreScan>();
}

std::unique_ptr<Command> make_store_stats() {
  return std::make_unique<StoreStats>();
}

}  // namespace leat::tools
