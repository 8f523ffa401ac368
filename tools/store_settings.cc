#include "tools/store_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "leat/base/units.h"

namespace leat::tools {
namespace {

const StoreSetting* find(const StoreTexts& texts, std::string_view key) {
  const auto found = texts.find(key);
  return found == texts.end() ? nullptr : &found->second;
}

std::string text_of(const StoreTexts& texts, std::string_view key, std::string_view built_in) {
  const StoreSetting* setting = find(texts, key);
  return setting == nullptr ? std::string(built_in) : setting->text;
}

std::unexpected<Error> refuse(const StoreSetting& setting, std::string_view expected) {
  return fail(setting.blame,
              fmt::format("{}: \"{}\" is not allowed: expected {}", setting.origin, setting.text, expected));
}

Result<std::int64_t> count_of(const StoreTexts& texts, std::string_view key, std::int64_t built_in, std::int64_t least,
                              std::int64_t most) {
  const StoreSetting* setting = find(texts, key);
  if (setting == nullptr) return built_in;
  const auto count = parse_count(key, setting->text);
  if (!count || *count < least || *count > most)
    return refuse(*setting, fmt::format("a whole number from {} to {}", least, most));
  return *count;
}

Result<bool> truth_of(const StoreTexts& texts, std::string_view key) {
  const StoreSetting* setting = find(texts, key);
  if (setting == nullptr) return false;
  const std::string& text = setting->text;
  if (text == "true" || text == "1" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "0" || text == "no" || text == "off") return false;
  return refuse(*setting, "true or false");
}

Result<std::vector<PartitionId>> partitions_of(const StoreTexts& texts, std::string_view key) {
  std::vector<PartitionId> partitions;
  const StoreSetting* setting = find(texts, key);
  if (setting == nullptr) return partitions;
  std::string_view left = setting->text;
  while (!left.empty()) {
    std::string_view one = left.substr(0, left.find(','));
    left.remove_prefix(std::min(left.size(), one.size() + 1));
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    const auto number = parse_count(key, one);
    if (!number || *number < 0 || *number >= kPartitionsMax) return refuse(*setting, "partitions like 0,1,2");
    partitions.push_back(PartitionId{static_cast<std::int32_t>(*number)});
  }
  if (partitions.empty()) return refuse(*setting, "partitions like 0,1,2");
  return partitions;
}

// A duration; from the environment, as the document has it, also a plain number of seconds.
Result<Milliseconds> duration_of(const StoreTexts& texts, std::string_view key, Milliseconds built_in) {
  const StoreSetting* setting = find(texts, key);
  if (setting == nullptr) return built_in;
  const bool seconds = !setting->origin.starts_with("--") && !setting->text.empty() &&
                       setting->text.find_first_not_of("0123456789") == std::string::npos;
  const auto duration = parse_duration(seconds ? setting->text + "s" : setting->text);
  if (!duration) return refuse(*setting, "a duration like 1s");
  return *duration;
}

}  // namespace

Result<std::vector<EnvLine>> parse_env_file(std::string_view text, std::string_view path) {
  std::vector<EnvLine> lines;
  for (std::size_t number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const auto trim = [](std::string_view& part) {
      while (!part.empty() && std::string_view(" \t\r").find(part.front()) != std::string_view::npos)
        part.remove_prefix(1);
      while (!part.empty() && std::string_view(" \t\r").find(part.back()) != std::string_view::npos)
        part.remove_suffix(1);
    };
    trim(line);
    if (line.empty() || line.front() == '#') continue;
    if (line.starts_with("export ")) line.remove_prefix(7);
    const std::size_t equals = line.find('=');
    std::string_view name = line.substr(0, equals);
    trim(name);
    if (equals == std::string_view::npos || name.empty())
      return fail(Code::configuration, fmt::format("{}:{}: expected NAME=VALUE", path, number));
    std::string_view value = line.substr(equals + 1);
    trim(value);
    if (!value.empty() && (value.front() == '"' || value.front() == '\'')) {
      const std::size_t end = value.find(value.front(), 1);
      if (end == std::string_view::npos)
        return fail(Code::configuration, fmt::format("{}:{}: the quote is not closed", path, number));
      value = value.substr(1, end - 1);
    } else if (const std::size_t comment = value.find(" #"); comment != std::string_view::npos) {
      value = value.substr(0, comment);
      trim(value);
    }
    lines.push_back({std::string(name), std::string(value), number});
  }
  return lines;
}

void add_environment(StoreTexts& texts, const Environment& environment, std::span<const EnvLine> lines,
                     std::string_view path) {
  for (const StoreSettingRow& row : kStoreSettings) {
    if (auto value = environment(row.variable))
      texts.try_emplace(row.key, StoreSetting{*std::move(value), row.variable});
    for (const EnvLine& line : lines) {
      if (line.name == row.variable && !line.value.empty())
        texts.try_emplace(row.key, StoreSetting{line.value, fmt::format("{}:{}", path, line.line)});
    }
  }
}

void add_file(StoreTexts& texts, std::span<const SettingOrigin> file) {
  for (const SettingOrigin& setting : file) {
    for (const StoreSettingRow& row : kStoreSettings)
      if (row.key == setting.key) texts.try_emplace(row.key, StoreSetting{setting.value, setting.origin});
  }
}

Result<ServeSettings> resolve_store(const StoreTexts& texts) {
  ServeSettings settings;
  StoreOptions& store = settings.store;
  store.id = text_of(texts, "id", "");
  if (store.id.empty())
    return fail(Code::usage, "the id of the store is missing", "leat store serve ID --source TOPIC");
  store.source = text_of(texts, "source", "");
  store.changelog = text_of(texts, "changelog", store.id + "-changelog");
  store.partitions = TRY(partitions_of(texts, "partitions"));
  store.replicas = TRY(partitions_of(texts, "replica_partitions"));
  store.replica_only = TRY(truth_of(texts, "replica_only"));
  if (store.source.empty() && !store.replica_only)
    return fail(Code::usage, "the source is missing: --source or SOURCE_TOPIC");
  store.wait_for_replicas = TRY(truth_of(texts, "wait_for_replicas"));
  store.flush_count = TRY(count_of(texts, "auto_flush_count", 1000, 1, 10'000'000));
  store.flush_every = TRY(duration_of(texts, "auto_flush_time", std::chrono::seconds(1)));
  store.initial_capacity = TRY(count_of(texts, "initial_capacity", 0, 0, 10'000'000'000));
  store.snapshot_every = TRY(duration_of(texts, "snapshot_interval", std::chrono::minutes(5)));
  settings.snapshots = store.snapshot_every.count() > 0;
  settings.snapshot_dir = text_of(texts, "snapshot_dir", "");
  const auto listen = parse_listen_address(text_of(texts, "listen", "127.0.0.1:8080"));
  if (!listen) return refuse(*find(texts, "listen"), "HOST:PORT");
  settings.listen = *listen;
  settings.limits.connections = static_cast<std::uint32_t>(TRY(count_of(texts, "max_connections", 1000, 1, 100'000)));
  settings.limits.threads = std::max(2U, std::thread::hardware_concurrency());
  settings.token_file = text_of(texts, "token_file", "");
  settings.limits.any_host = !settings.token_file.empty();  // no web page knows the token
  settings.transform = text_of(texts, "transform", "");
  const std::string framing = text_of(texts, "transform_framing", "lines");
  if (framing != "lines" && framing != "u32be") return refuse(*find(texts, "transform_framing"), "lines or u32be");
  settings.transform_framing = framing == "u32be" ? pipe::Framing::u32be : pipe::Framing::lines;
  const std::string value = text_of(texts, "value", "bytes");
  if (value != "bytes" && value != "json") return refuse(*find(texts, "value"), "bytes or json");
  settings.stored_as = value == "json" ? StoredAs::json : StoredAs::bytes;
  settings.brokers = text_of(texts, "brokers", "");
  settings.consumer_properties = text_of(texts, "consumer_properties", "");
  settings.producer_properties = text_of(texts, "producer_properties", "");
  settings.changelog_properties = text_of(texts, "changelog_properties", "");
  return settings;
}

}  // namespace leat::tools
