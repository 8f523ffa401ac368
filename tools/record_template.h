// The template of `consume -F`: text with {{key}} {{value}} {{offset}} {{partition}} {{time}} {{topic}} in it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "leat/base/error.h"
#include "leat/log/record.h"

namespace leat::tools {

class RecordTemplate {
 public:
  // Escapes (\t \n \0 \xNN \\) in the text between placeholders become the bytes they name. Errors: usage (an unknown
  // name in braces, with the nearest one; braces that are not closed; an unknown escape).
  static Result<RecordTemplate> parse(std::string_view text);

  // Appends the record as the template says, and a newline. A null key or value is the word null. With `escape`,
  // control characters in keys and values are escaped.
  void append(std::string& to, const RecordView& record, bool escape);

 private:
  enum class Field { literal, key, value, offset, partition, time, topic };
  struct Part {
    Field field;
    std::string literal;
  };

  void append_time(std::string& to, TimestampMs time);

  std::vector<Part> parts_;
  TimestampMs shown_time_{};  // what shown_text_ is the text of: records of a batch mostly share theirs
  std::string shown_text_;
};

}  // namespace leat::tools
