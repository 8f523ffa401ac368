#include "leat/pipe/json_record.h"

#include <fmt/format.h>
#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "leat/base/base64.h"
#include "leat/base/text.h"

namespace leat {
namespace {

// Half of a surrogate pair on its own, encoded as if it were a character: what a lone \uDC00 becomes.
bool has_lone_surrogate(std::string_view text) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while ((at = static_cast<const char*>(std::memchr(at, 0xED, static_cast<std::size_t>(end - at)))) != nullptr) {
    if (end - at > 1 && static_cast<unsigned char>(at[1]) >= 0xA0) return true;
    ++at;
  }
  return false;
}

enum class Field : std::uint8_t { none, key, key_b64, value, value_b64, headers, timestamp, topic, partition, offset };

constexpr std::array<std::pair<std::string_view, Field>, 9> kFields = {{
    {"key", Field::key},
    {"value", Field::value},
    {"headers", Field::headers},
    {"timestamp", Field::timestamp},
    {"key_b64", Field::key_b64},
    {"value_b64", Field::value_b64},
    {"topic", Field::topic},
    {"partition", Field::partition},
    {"offset", Field::offset},
}};

// RapidJSON's SAX events, with the names it wants. Each returns false to stop at what does not belong in an envelope;
// the depth never exceeds object, headers, header, so neither does the reader's recursion.
class EnvelopeHandler {
 public:
  explicit EnvelopeHandler(JsonRecord& record) : record_(record) {}

  const std::string& fault() const { return fault_; }

  // NOLINTBEGIN(readability-identifier-naming)
  bool Null() {
    switch (place_) {
      case Place::header:
        return add_part({});
      case Place::object:
        break;
      default:
        return misplaced("null");
    }
    switch (field_) {
      case Field::key:
      case Field::key_b64:
        record_.key.reset();
        break;
      case Field::value:
      case Field::value_b64:
        record_.value.reset();
        break;
      case Field::timestamp:
        record_.timestamp.reset();
        break;
      default:
        break;
    }
    return true;
  }
  bool Bool(bool) { return scalar("a boolean"); }
  bool Int(int number) { return Int64(number); }
  bool Uint(unsigned number) { return Int64(number); }
  bool Int64(std::int64_t number) {
    if (place_ == Place::object && field_ == Field::timestamp) {
      record_.timestamp = TimestampMs{number};
      return true;
    }
    return scalar("a number");
  }
  bool Uint64(std::uint64_t number) {
    if (number <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return Int64(static_cast<std::int64_t>(number));
    }
    return Double(0);
  }
  bool Double(double) {
    if (place_ == Place::object && field_ == Field::timestamp) {
      return refuse(R"("timestamp" is not an integer of milliseconds)");
    }
    return scalar("a number");
  }
  bool RawNumber(const char*, rapidjson::SizeType, bool) { return false; }  // asked for by a flag that is not set

  bool String(const char* text, rapidjson::SizeType size, bool) {
    if (place_ == Place::top || place_ == Place::headers) return misplaced("a string");
    if (has_lone_surrogate({text, size})) return refuse("half a surrogate pair as \\u escape: not a character");
    if (place_ == Place::header) return add_part(std::string_view(text, size));
    switch (field_) {
      case Field::key:
        record_.key = std::string_view(text, size);
        return true;
      case Field::value:
        record_.value = std::string_view(text, size);
        return true;
      case Field::key_b64:
        return (record_.key = decode(text, size)).has_value();
      case Field::value_b64:
        return (record_.value = decode(text, size)).has_value();
      case Field::topic:
      case Field::partition:
      case Field::offset:
        return true;
      default:
        return scalar("a string");
    }
  }

  bool StartObject() {
    if (place_ != Place::top) return misplaced("an object");
    place_ = Place::object;
    return true;
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    const std::string_view name(text, size);
    for (const auto& [known, field] : kFields) {
      if (name != known) continue;
      field_ = field;
      if (seen(field) || seen(twin(field))) return refuse(fmt::format("\"{}\" is given twice", name));
      seen_ |= 1U << static_cast<unsigned>(field);
      return true;
    }
    return refuse(fmt::format("unknown name \"{}\"", name.substr(0, kNameBytesShown)));
  }
  bool EndObject(rapidjson::SizeType) { return true; }

  bool StartArray() {
    if (place_ == Place::object && field_ == Field::headers) {
      place_ = Place::headers;
    } else if (place_ == Place::headers) {
      place_ = Place::header;
      parts_ = 0;
    } else {
      return misplaced("an array");
    }
    return true;
  }
  bool EndArray(rapidjson::SizeType) {
    if (place_ == Place::headers) {
      place_ = Place::object;
      return true;
    }
    place_ = Place::headers;
    return add_header();
  }
  // NOLINTEND(readability-identifier-naming)

 private:
  enum class Place : std::uint8_t { top, object, headers, header };
  static constexpr std::size_t kNameBytesShown = 80;

  bool refuse(std::string why) {
    fault_ = std::move(why);
    return false;
  }
  bool misplaced(std::string_view what) {
    switch (place_) {
      case Place::top:
        return refuse(fmt::format("{} where an object is expected", what));
      case Place::object:
        return scalar(what);
      case Place::headers:
      case Place::header:
        break;
    }
    return refuse(fmt::format("{} in \"headers\", where [\"name\",\"value\"] is expected", what));
  }
  // Any value but the wanted one in the object. What is ignored may be whatever it likes, as long as it is not nested.
  bool scalar(std::string_view what) {
    if (place_ != Place::object) return misplaced(what);
    const bool ignored = field_ == Field::topic || field_ == Field::partition || field_ == Field::offset;
    if (ignored && what != "an array" && what != "an object") return true;
    for (const auto& [name, field] : kFields) {
      if (field == field_) return refuse(fmt::format("\"{}\" cannot be {}", name, what));
    }
    return false;
  }

  bool seen(Field field) const { return (seen_ & (1U << static_cast<unsigned>(field))) != 0; }
  static Field twin(Field field) {
    switch (field) {
      case Field::key:
        return Field::key_b64;
      case Field::key_b64:
        return Field::key;
      case Field::value:
        return Field::value_b64;
      case Field::value_b64:
        return Field::value;
      default:
        return Field::none;
    }
  }

  // RapidJSON hands out pointers into the text that was given to be parsed in place, so it is ours to change.
  std::optional<std::string_view> decode(const char* text, std::size_t size) {
    auto plain = decode_base64_in_place(const_cast<char*>(text), size);
    if (!plain) refuse(field_ == Field::headers ? "a header is not base64" : "not base64 in a _b64 value");
    return plain;
  }

  bool add_part(std::optional<std::string_view> part) {
    if (parts_ == header_.size()) return refuse("a header of more than four parts");
    header_[parts_++] = part;
    return true;
  }
  // [NAME, VALUE], [NAME, null, BASE64], [NAME, BASE64, "base64"] or, for a name that is not UTF-8 either,
  // [null, VALUE, BASE64 or null, BASE64 of the name].
  bool add_header() {
    const bool packed_name = parts_ == 4;
    if (parts_ < 2 || header_[0].has_value() == packed_name) return refuse(R"(a header is not ["name","value"])");
    std::optional<std::string_view> name = packed_name ? header_[3] : header_[0];
    std::optional<std::string_view> value = header_[1];
    std::optional<std::string_view> packed_value = parts_ > 2 ? header_[2] : std::nullopt;
    if (parts_ == 3 && value && packed_value == "base64") {
      packed_value = std::exchange(value, std::nullopt);
    }
    const bool one_value = !value || !packed_value;
    if (!name || !one_value || (parts_ == 3 && !packed_value))
      return refuse(R"(a header is not ["name",null,"BASE64"])");
    if (packed_name && !(name = decode(name->data(), name->size()))) return false;
    if (packed_value && !(value = decode(packed_value->data(), packed_value->size()))) return false;
    record_.headers.push_back({.key = *name, .value = value});
    return true;
  }

  JsonRecord& record_;
  Place place_ = Place::top;
  Field field_ = Field::none;
  unsigned seen_ = 0;
  std::array<std::optional<std::string_view>, 4> header_ = {};
  std::size_t parts_ = 0;
  std::string fault_;
};

}  // namespace

Result<void> parse_json_record(char* text, std::size_t size, JsonRecord& record) {
  record.key.reset();
  record.value.reset();
  record.headers.clear();
  record.timestamp.reset();

  // The reader takes a NUL for the end of its text.
  if (const void* nul = std::memchr(text, '\0', size)) {
    return fail(Code::bad_data,
                fmt::format("a NUL at byte {} of the line, not JSON", static_cast<const char*>(nul) - text));
  }
  // RapidJSON can check this too, but steps over the end of its text where that breaks off inside a character.
  if (!is_utf8({text, size})) {
    return fail(Code::bad_data, "not UTF-8, and so not JSON: such bytes go into \"key_b64\" and \"value_b64\"");
  }
  text[size] = '\0';
  rapidjson::InsituStringStream stream(text);
  rapidjson::Reader reader;
  EnvelopeHandler handler(record);
  const rapidjson::ParseResult parsed = reader.Parse<rapidjson::kParseInsituFlag>(stream, handler);
  if (!parsed) {
    if (parsed.Code() == rapidjson::kParseErrorTermination) return fail(Code::bad_data, handler.fault());
    std::string why = rapidjson::GetParseError_En(parsed.Code());
    while (!why.empty() && why.back() == '.') why.pop_back();
    return fail(Code::bad_data, fmt::format("not JSON at byte {} of the line: {}", parsed.Offset(), why));
  }
  return {};
}

}  // namespace leat
