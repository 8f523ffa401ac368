#include "leat/pipe/json_check.h"

#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "leat/base/text.h"

namespace leat::pipe {
namespace {

// Numbers stay text, so that no digits, however many, are too many.
constexpr unsigned kFlags = rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag;

}  // namespace

bool is_json(std::string_view text) {
  // To rapidjson it is the end.
  if (text.find('\0') != std::string_view::npos) return false;
  // Eight bytes at a time, where rapidjson would look at each.
  if (!is_utf8(text)) return false;
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::BaseReaderHandler<> ignore;
  rapidjson::Reader reader;
  return !reader.Parse<kFlags>(stream, ignore).IsError();
}

bool is_json_object(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{' && is_json(text);
}

}  // namespace leat::pipe
