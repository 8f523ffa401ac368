#include "leat/pipe/envelope.h"

#include <charconv>
#include <cstring>

#include "leat/base/base64.h"
#include "leat/base/text.h"

namespace leat {
namespace {

void append_number(std::string& to, std::int64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  to.append(digits, static_cast<std::size_t>(end - digits));
}

// Whether every byte can stand in a JSON string as it is: printable ASCII but for the quote and the backslash. Eight at
// a time, because nearly all text is like that and the envelope is written once per record.
bool is_plain(std::string_view text) {
  constexpr std::uint64_t ones = 0x0101010101010101;
  constexpr std::uint64_t tops = 0x8080808080808080;
  std::uint64_t bad = 0;
  std::size_t at = 0;
  const auto look = [&](std::uint64_t word) {
    const std::uint64_t quote = word ^ (ones * '"');
    const std::uint64_t backslash = word ^ (ones * '\\');
    bad |= (word | (word - ones * 0x20) | (quote - ones) | (backslash - ones)) & tops;
  };
  for (; at + 8 <= text.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + at, sizeof word);
    look(word);
  }
  std::uint64_t rest = ones * 'x';
  if (at < text.size()) std::memcpy(&rest, text.data() + at, text.size() - at);
  look(rest);
  return bad == 0;
}

void append_base64_string(std::string& to, std::string_view bytes) {
  to += '"';
  append_base64(to, bytes);
  to += '"';
}

// `,"name":"..."`, or `,"name_b64":"..."` for bytes that are not text.
void append_member(std::string& to, std::string_view name, const std::optional<std::string_view>& bytes) {
  to += ",\"";
  to += name;
  const std::size_t name_end = to.size();
  to += "\":";
  if (!bytes) {
    to += "null";
  } else if (!append_if_utf8(to, *bytes)) {
    to.resize(name_end);
    to += "_b64\":";
    append_base64_string(to, *bytes);
  }
}

void append_header(std::string& to, const HeaderView& header) {
  to += '[';
  const bool key_is_text = append_if_utf8(to, header.key);
  if (!key_is_text) to += "null";
  to += ',';
  const bool value_is_text = !header.value || append_if_utf8(to, *header.value);
  if (!header.value || !value_is_text) to += "null";
  if (!value_is_text) {
    to += ',';
    append_base64_string(to, *header.value);
  } else if (!key_is_text) {
    to += ",null";
  }
  if (!key_is_text) {
    to += ',';
    append_base64_string(to, header.key);
  }
  to += ']';
}

}  // namespace

bool append_if_utf8(std::string& to, std::string_view bytes) {
  if (is_plain(bytes)) [[likely]] {
    to += '"';
    to += bytes;
    to += '"';
    return true;
  }
  if (!is_utf8(bytes)) return false;
  append_json_string(to, bytes);
  return true;
}

void append_envelope(std::string& to, const RecordView& record) {
  to += "{\"topic\":";
  if (!append_if_utf8(to, record.topic)) to += "null";  // topic names are ASCII
  to += ",\"partition\":";
  append_number(to, record.partition.value);
  to += ",\"offset\":";
  append_number(to, record.offset.value);
  to += ',';
  append_record_members(to, record);
  to += '}';
}

void append_record_members(std::string& to, const RecordView& record) {
  to += "\"timestamp\":";
  append_number(to, record.timestamp.value);
  append_member(to, "key", record.key);
  append_member(to, "value", record.value);
  to += ",\"headers\":[";
  for (std::size_t i = 0; i < record.headers.size(); ++i) {
    if (i != 0) to += ',';
    append_header(to, record.headers[i]);
  }
  to += ']';
}

}  // namespace leat
