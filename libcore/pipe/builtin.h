// What stages can do without a program.
#pragma once

#include "leat/pipe/record_template.h"
#include "leat/pipe/work.h"

namespace leat::pipe {

// The value becomes what the template makes of the message.
MakeMapper template_mapper(const RecordTemplate& value);

enum class Missing : std::uint8_t { refuse, drop, null };

struct JsonFieldOptions {
  std::vector<std::string> path;      // of the value, see json_field.h
  bool to_key = false;                // it becomes the key, not the value
  Missing missing = Missing::refuse;  // what is done with a message that has no such member
};
MakeMapper json_field_mapper(const JsonFieldOptions& options);

struct JsonFilterOptions {
  std::vector<std::string> path;
  std::vector<std::string> equals = {};  // one of these; none: it must be there
  bool negated = false;                  // those that do not match stay
};
// Messages whose member matches stay; values that are not JSON are refused.
MakeMapper json_field_filter(const JsonFilterOptions& options);

// How many messages a batch has, in digits.
MakeReducer count_reducer();
// The values of a batch, each with a newline behind it. Nulls are left out.
MakeReducer lines_reducer();

}  // namespace leat::pipe
