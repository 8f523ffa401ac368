// The keys of a ClickHouse sink in a pipeline file, and what a server's exceptions mean to it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "leat/pipe/http_target.h"
#include "leat/pipe/settings_table.h"
#include "leat/pipe/sink.h"

namespace leat::pipe {

enum class HttpCompression { none, gzip, lz4, zstd };

struct ClickhouseOptions {
  HttpTarget target;
  std::string url;  // checked; without a query
  std::string table;
  std::string database;  // empty: the user's default
  HttpCompression compression = HttpCompression::none;
  bool deduplicate = true;                                         // send a token where the server knows it
  std::vector<std::pair<std::string, std::string>> settings = {};  // of the user; none that the sink sets itself
};

// Takes the sink's keys out of the stage's table. Errors: configuration, with file, line and column.
Result<ClickhouseOptions> parse_clickhouse_options(SettingsTable& table);

// "`db`.`t`": quoted, so that any name is a name.
std::string clickhouse_table_name(const ClickhouseOptions& options);

// The token of a batch: the same for the same source ranges, whatever their order and however they are cut into
// messages. 64 hexadecimal digits.
std::string deduplication_token(std::span<const Message> batch);

// The number of the exception that an answer carries: from its X-ClickHouse-Exception-Code header, else from its text,
// where a line begins with "Code: N". nullopt where there is none.
std::optional<int> exception_code(std::string_view header, std::string_view body);

// What an exception means for a batch: bad_data (a row cannot be taken), unavailable (may pass), or not_found,
// permission, configuration (nothing will ever be taken).
Code meaning_of_exception(int number, std::string_view text);

}  // namespace leat::pipe
