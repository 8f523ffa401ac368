#include "tools/copy_place.h"

#include <fmt/format.h>
#include <unistd.h>

#include "tools/several.h"

namespace leat::tools {
namespace {

constexpr std::string_view kKafka = "kafka://";
constexpr std::string_view kFile = "file://";

Result<std::vector<std::string>> parse_topics(std::string_view text) {
  std::vector<std::string> topics;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    topics.emplace_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  TRY(check_names("topic", topics));
  return topics;
}

Result<CopyPlace> parse_kafka_place(std::string_view text) {
  const std::size_t question = std::min(text.find('?'), text.size());
  const std::string_view before = text.substr(0, question);
  const std::size_t slash = before.find('/', kKafka.size());
  if (slash == std::string_view::npos) return CopyPlace{std::string(text), {}};
  CopyPlace place{fmt::format("{}{}", before.substr(0, slash), text.substr(question)), {}};
  const std::string_view topics = before.substr(slash + 1);
  if (!topics.empty()) place.topics = TRY(parse_topics(topics));
  return place;
}

}  // namespace

bool CopyPlace::is_kafka() const {
  return location.starts_with(kKafka);
}

Result<CopyPlace> parse_copy_place(std::string_view text, const std::function<bool(const std::string&)>& is_data_dir) {
  if (text.empty()) return fail(Code::usage, "a place to copy from or to must not be empty");
  if (text.starts_with(kKafka)) return parse_kafka_place(text);
  std::string_view path = text.starts_with(kFile) ? text.substr(kFile.size()) : text;
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const std::size_t slash = path.rfind('/');
  CopyPlace whole{std::string(text), {}};
  if (slash == std::string_view::npos || is_data_dir(std::string(path))) return whole;
  const std::string above(path.substr(0, std::max<std::size_t>(slash, 1)));
  if (!is_data_dir(above)) return whole;
  return CopyPlace{above, TRY(parse_topics(path.substr(slash + 1)))};
}

bool looks_like_data_dir(const std::string& path) {
  return ::access(fmt::format("{}/leat.toml", path).c_str(), F_OK) == 0;
}

}  // namespace leat::tools
