#include "tools/json_keys.h"

#include <fmt/format.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "leat/base/base64.h"

namespace leat::tools {
namespace {

// An object whose members are arrays of strings, and nothing else.
struct Handler : rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Handler> {
  std::vector<std::string>* keys;
  std::size_t keys_max;
  std::string refused = {};
  bool in_object = false;
  bool in_array = false;
  bool base64 = false;

  bool refuse(std::string why) {
    refused = std::move(why);
    return false;
  }
  bool Default() { return refuse("expected {\"keys\":[STRING, ...]}"); }  // NOLINT(readability-identifier-naming)
  bool StartObject() {                                                    // NOLINT(readability-identifier-naming)
    return std::exchange(in_object, true) ? Default() : true;
  }
  bool EndObject(rapidjson::SizeType) { return true; }          // NOLINT(readability-identifier-naming)
  bool Key(const char* text, rapidjson::SizeType size, bool) {  // NOLINT(readability-identifier-naming)
    const std::string_view name(text, size);
    base64 = name == "keys_b64";
    return base64 || name == "keys" ? true : refuse(fmt::format("unknown member \"{}\"", name));
  }
  bool StartArray() {  // NOLINT(readability-identifier-naming)
    return !in_object || std::exchange(in_array, true) ? Default() : true;
  }
  bool EndArray(rapidjson::SizeType) {  // NOLINT(readability-identifier-naming)
    in_array = false;
    return true;
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {  // NOLINT(readability-identifier-naming)
    if (!in_array) return Default();
    if (keys->size() == keys_max) return refuse(fmt::format("more than {} keys", keys_max));
    if (!base64) {
      keys->emplace_back(text, size);
      return true;
    }
    auto key = decode_any_base64({text, size});
    if (!key) return refuse("a key is no base64");
    keys->push_back(*std::move(key));
    return true;
  }
};

}  // namespace

Result<std::vector<std::string>> parse_json_keys(std::string_view text, std::size_t keys_max) {
  std::vector<std::string> keys;
  Handler handler;
  handler.keys = &keys;
  handler.keys_max = keys_max;
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  constexpr unsigned kFlags = rapidjson::kParseValidateEncodingFlag | rapidjson::kParseIterativeFlag;
  const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, handler);
  if (!handler.refused.empty()) return fail(Code::bad_data, handler.refused);
  if (result.IsError())
    return fail(Code::bad_data,
                fmt::format("byte {}: {}", result.Offset(), rapidjson::GetParseError_En(result.Code())));
  return keys;
}

}  // namespace leat::tools
