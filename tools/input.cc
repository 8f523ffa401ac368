#include "tools/input.h"

#include <fmt/format.h>

#include "leat/base/units.h"

namespace leat::tools {
namespace {

// A line of JSON is longer than its record: at most six characters a byte ("\u0000"), and the names around it. A record
// of many empty headers could be longer yet; nobody is known to have one.
constexpr std::int64_t kJsonBytesPerByte = 6;
constexpr std::int64_t kJsonBytesAround = 64 << 10;

std::size_t frame_bytes_max(const InputOptions& options) {
  const std::int64_t limit = options.record_bytes_max;
  if (options.framing == Framing::json) {
    return static_cast<std::size_t>(limit * kJsonBytesPerByte + kJsonBytesAround);
  }
  return static_cast<std::size_t>(limit) + options.key_separator.size() + (options.strip_cr ? 1 : 0);
}

// Between objects there may be empty lines, as at the end of many files.
bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

std::int64_t record_bytes(const RecordInput& record) {
  std::size_t bytes = 0;
  if (record.key) bytes += record.key->size();
  if (record.value) bytes += record.value->size();
  for (const HeaderView& header : record.headers)
    bytes += header.key.size() + (header.value ? header.value->size() : 0);
  return static_cast<std::int64_t>(bytes);
}

Input::Input(InputOptions options)
    : options_(std::move(options)),
      source_(options_.files, options_.stdin_fd, options_.stop),
      framer_(options_.framing, options_.delimiter, frame_bytes_max(options_)) {
  for (const auto& [key, value] : options_.headers) headers_.push_back({.key = key, .value = value});
  if (options_.key) record_.key = *options_.key;
  record_.timestamp = options_.timestamp;
  record_.headers = headers_;
}

std::string Input::at_place(std::string_view what) const {
  return fmt::format("record {}: {} ({}, byte {})", place_.record, what, place_.file, place_.byte);
}

std::string Input::too_long() const {
  const std::string limit = format_size(options_.record_bytes_max);
  return fmt::format("longer than {}, the limit of {}", limit, options_.record_limit_name);
}

Result<Input::State> Input::next(std::optional<SteadyTime> until) {
  if (!source_.is_open() && !TRY(source_.open_next())) return State::ended;
  for (;;) {
    const std::span<char> window = source_.window();
    const Frame frame = framer_.next({window.data(), window.size()}, source_.complete());
    const std::uint64_t at = source_.offset();
    source_.consume(frame.consumed);
    switch (frame.kind) {
      case Frame::Kind::record: {
        const std::span<char> bytes = window.subspan(frame.begin, frame.size);
        if (options_.framing == Framing::json && is_blank({bytes.data(), bytes.size()})) break;
        place_ = {.record = place_.record + 1, .file = source_.name(), .byte = at};
        TRY(take(bytes, frame.is_null));
        return State::record;
      }
      case Frame::Kind::fault:
        place_ = {.record = place_.record + 1, .file = source_.name(), .byte = at};
        return fail(Code::bad_data, at_place(framer_.fault_is_length() ? too_long() : framer_.fault()));
      case Frame::Kind::ended:
        if (!TRY(source_.open_next())) return State::ended;
        framer_.reset();
        break;
      case Frame::Kind::need_more: {
        if (frame.consumed != 0 || source_.complete()) break;
        const InputSource::Fill fill = TRY(source_.fill(until));
        if (fill == InputSource::Fill::idle) return State::idle;
        if (fill == InputSource::Fill::stopped) return State::stopped;
        break;
      }
    }
  }
}

Result<void> Input::take(std::span<char> bytes, bool is_null) {
  if (options_.framing == Framing::json) {
    TRY(take_json(bytes));
  } else {
    TRY(take_value({bytes.data(), bytes.size()}, is_null));
  }
  // The time a block came in stands for all records in it: the clock costs as much as encoding a short record.
  if (!record_.timestamp) record_.timestamp = source_.filled_at();
  if (options_.empty_is_null && record_.value && record_.value->empty()) record_.value.reset();
  if (record_bytes(record_) > options_.record_bytes_max) return fail(Code::bad_data, at_place(too_long()));
  return {};
}

Result<void> Input::take_json(std::span<char> line) {
  if (Result<void> parsed = parse_json_record(line.data(), line.size(), json_); !parsed) {
    return fail(Code::bad_data, at_place(parsed.error().message));
  }
  record_.key = json_.key;
  record_.value = json_.value;
  record_.timestamp = options_.timestamp ? options_.timestamp : json_.timestamp;
  headers_.resize(options_.headers.size());
  headers_.insert(headers_.end(), json_.headers.begin(), json_.headers.end());
  record_.headers = headers_;
  return {};
}

Result<void> Input::take_value(std::string_view bytes, bool is_null) {
  record_.timestamp = options_.timestamp;
  if (options_.strip_cr && bytes.ends_with('\r')) bytes.remove_suffix(1);
  const std::string& separator = options_.key_separator;
  if (!separator.empty()) {
    const std::size_t at = bytes.find(separator);
    if (at == std::string_view::npos) {
      return fail(Code::bad_data, at_place(fmt::format("separator '{}' not found", separator)));
    }
    record_.key = bytes.substr(0, at);
    bytes.remove_prefix(at + separator.size());
  }
  record_.value = is_null ? std::nullopt : std::optional(bytes);
  return {};
}

}  // namespace leat::tools
