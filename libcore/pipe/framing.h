// How messages and answers follow each other on a program's pipes, and how a message is written and an answer read.
//
//   json    a line with the envelope (envelope.h), answered by a line: an envelope in its place (topic, partition and
//           offset are ignored, a missing timestamp is the record's), null to leave it out, {"error":"WHY"} to refuse
//           it, true or false where a filter is asked
//   lines   a line with the value, answered by a line with another; nulls and values with newlines are refused
//   u32be   the value behind its length as four bytes, the most significant first (0xFFFFFFFF for a null), answered by
//           the same
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "leat/base/error.h"
#include "leat/log/limits.h"
#include "leat/pipe/work.h"

namespace leat::pipe {

enum class Framing : std::uint8_t { json, lines, u32be };

// Appends a value, or a null, as one frame. Errors: bad_data (it cannot be written so). Precondition: framing is not
// json.
Result<void> append_value_frame(std::string& to, Framing framing, std::optional<std::string_view> value);
// Appends the message as one frame. Errors: bad_data (it cannot be written so).
Result<void> append_frame(std::string& to, Framing framing, const Message& message);
// Appends a batch as one frame: json: a line with an array of envelopes; u32be: a frame that holds a frame for each
// value. Precondition: framing is not lines.
void append_batch_frame(std::string& to, Framing framing, std::span<const Message> batch);

// The largest answer of a stage's program: an envelope in base64, with its headers, is larger than the record.
inline constexpr std::size_t kAnswerBytesMax = 4 * static_cast<std::size_t>(kRecordBytesMax);

// Takes the first whole frame off the front of text[at..]: its content (nullopt for a null), and `at` moves behind it.
// False when there is none yet. Errors: bad_data when the content is larger than `bytes_max`, be it whole or not.
Result<bool> take_frame(std::string_view text, std::size_t& at, Framing framing, std::size_t bytes_max,
                        std::optional<std::string_view>& frame);

// What a program's answer to `asked` says. `filters`: it is asked whether the message stays.
Outcome read_answer(Framing framing, std::optional<std::string_view> frame, const Message& asked, bool filters);

}  // namespace leat::pipe
