// Text with places for what a record has: the template of `consume -F`, and of a pipeline's stages.
//
//   {{key}} {{value}}            their bytes; null is the word null
//   {{key_json}} {{value_json}}  as a JSON string with quotes; null is null
//   {{topic}} {{partition}} {{offset}}
//   {{time}}                     of the record, UTC with milliseconds: 2026-11-21T03:37:22.123Z
//   {{time_s}} {{time_ms}}       seconds and milliseconds since 1970
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "leat/base/error.h"
#include "leat/log/record.h"

namespace leat {

class RecordTemplate {
 public:
  // With `escapes`, those (\t \n \0 \xNN \\) in the text between placeholders become the bytes they name. `what` names
  // the template in messages. Errors: usage (an unknown name in braces, with the nearest one; braces that are not
  // closed; an unknown escape).
  static Result<RecordTemplate> parse(std::string_view what, std::string_view text, bool escapes);

  // Appends the record as the template says. With `escape`, control characters in keys and values are escaped. Errors:
  // bad_data, where JSON is asked for of bytes that are not UTF-8; `to` is then as it was.
  Result<void> append(std::string& to, const RecordView& record, bool escape);

 private:
  enum class Field { literal, key, value, offset, partition, time, topic, key_json, value_json, time_s, time_ms };
  struct Part {
    Field field;
    std::string literal;
  };

  void append_time(std::string& to, TimestampMs time);

  std::vector<Part> parts_;
  TimestampMs shown_time_{};  // what shown_text_ is the text of: records of a batch mostly share theirs
  std::string shown_text_;
};

}  // namespace leat
