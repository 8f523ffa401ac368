#include "leat/base/text.h"

#include <array>
#include <cstring>

namespace leat {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

unsigned byte_at(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

// The length of the well-formed UTF-8 sequence at `text[i]`, or 0. The bounds of the second byte rule out overlong
// forms, surrogates and what lies above U+10FFFF (Unicode, table 3-7).
std::size_t sequence_length(std::string_view text, std::size_t i) {
  const unsigned first = byte_at(text, i);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  unsigned low = 0x80;
  unsigned high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  if (text.size() - i < length || byte_at(text, i + 1) < low || byte_at(text, i + 1) > high) return 0;
  for (std::size_t k = 2; k < length; ++k) {
    if (byte_at(text, i + k) < 0x80 || byte_at(text, i + k) > 0xBF) return 0;
  }
  return length;
}

// Whether the eight bytes at `at` are all ASCII.
bool eight_ascii(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return (word & 0x8080808080808080U) == 0;
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    if (text.size() - i >= 8 && eight_ascii(text.data() + i)) {
      i += 8;
      continue;
    }
    const std::size_t length = sequence_length(text, i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

void append_json_string(std::string& to, std::string_view text) {
  to += '"';
  std::size_t plain = 0;  // start of the run that needs no escape
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned byte = byte_at(text, i);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    to.append(text, plain, i - plain);
    plain = i + 1;
    to += '\\';
    switch (byte) {
      case '"':
      case '\\':
        to += text[i];
        break;
      case '\n':
        to += 'n';
        break;
      case '\r':
        to += 'r';
        break;
      case '\t':
        to += 't';
        break;
      default:
        to += "u00";
        to += kHexDigits[byte >> 4];
        to += kHexDigits[byte & 0xF];
    }
  }
  to.append(text, plain);
  to += '"';
}

std::string json_string(std::string_view text) {
  std::string json;
  append_json_string(json, is_utf8(text) ? text : escape_controls(text));
  return json;
}

void escape_json_controls(std::string& json, std::size_t from) {
  const auto is_control = [&](std::size_t i) {
    return byte_at(json, i) == 0x7F || (byte_at(json, i) == 0xC2 && i + 1 < json.size() && byte_at(json, i + 1) < 0xA0);
  };
  std::string escaped;
  std::size_t plain = from;
  for (std::size_t i = from; i < json.size(); ++i) {
    if (!is_control(i)) continue;
    escaped.append(json, plain, i - plain);
    if (byte_at(json, i) == 0xC2) ++i;
    escaped += "\\u00";
    escaped += kHexDigits[byte_at(json, i) >> 4];
    escaped += kHexDigits[byte_at(json, i) & 0xF];
    plain = i + 1;
  }
  if (plain == from) return;
  escaped.append(json, plain);
  json.replace(from, std::string::npos, escaped);
}

std::string escape_controls(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(text, i);
    const unsigned byte = byte_at(text, i);
    const bool c1 = length == 2 && byte == 0xC2 && byte_at(text, i + 1) < 0xA0;
    if (length == 0 || c1 || byte < 0x20 || byte == 0x7F) {
      for (std::size_t k = i; k < i + (c1 ? 2 : 1); ++k) {
        shown += "\\x";
        shown += kHexDigits[byte_at(text, k) >> 4];
        shown += kHexDigits[byte_at(text, k) & 0xF];
      }
      i += c1 ? 2 : 1;
      continue;
    }
    shown.append(text, i, length);
    i += length;
  }
  return shown;
}

}  // namespace leat
