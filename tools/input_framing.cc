#include "tools/input_framing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "leat/base/bytes.h"

namespace leat::tools {
namespace {

constexpr std::size_t kLengthBytes = 4;
constexpr std::uint32_t kNullLength = 0xFFFFFFFF;

std::string delimiter_of(Framing framing, std::string given) {
  switch (framing) {
    case Framing::lines:
    case Framing::json:
      return "\n";
    case Framing::nul:
      return std::string(1, '\0');
    case Framing::delim:
      return given;
    case Framing::u32be:
    case Framing::raw:
      break;
  }
  return {};
}

}  // namespace

Framer::Framer(Framing framing, std::string delimiter, std::size_t record_bytes_max)
    : framing_(framing), delimiter_(delimiter_of(framing, std::move(delimiter))), record_bytes_max_(record_bytes_max) {
  ASSERT(framing != Framing::delim || !delimiter_.empty());
}

void Framer::reset() {
  searched_ = 0;
  discarding_ = false;
  discard_left_ = 0;
}

Frame Framer::next(std::string_view window, bool complete) {
  if (discarding_) return discard(window, complete);
  switch (framing_) {
    case Framing::u32be:
      return next_sized(window, complete);
    case Framing::raw:
      return next_whole(window, complete);
    default:
      return next_delimited(window, complete);
  }
}

std::size_t Framer::find_delimiter(std::string_view window, std::size_t from) const {
  if (from >= window.size()) return std::string_view::npos;
  const char* start = window.data() + from;
  const std::size_t left = window.size() - from;
  const void* at = delimiter_.size() == 1 ? std::memchr(start, delimiter_[0], left)
                                          : ::memmem(start, left, delimiter_.data(), delimiter_.size());
  if (at == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(at) - window.data());
}

Frame Framer::next_delimited(std::string_view window, bool complete) {
  const std::size_t at = find_delimiter(window, searched_);
  if (at != std::string_view::npos) {
    searched_ = 0;
    const std::size_t consumed = at + delimiter_.size();
    if (at > record_bytes_max_) return too_long(consumed);
    return {.kind = Frame::Kind::record, .size = at, .consumed = consumed};
  }
  if (complete) {
    searched_ = 0;
    if (window.empty()) return {.kind = Frame::Kind::ended};
    if (window.size() > record_bytes_max_) return too_long(window.size());
    return {.kind = Frame::Kind::record, .size = window.size(), .consumed = window.size()};
  }
  // The start of a delimiter may be the last thing in the window.
  const std::size_t clear = window.size() - std::min(window.size(), delimiter_.size() - 1);
  if (clear > record_bytes_max_) {
    searched_ = 0;
    discarding_ = true;
    return too_long(clear);
  }
  searched_ = clear;
  return {.kind = Frame::Kind::need_more};
}

Frame Framer::next_sized(std::string_view window, bool complete) {
  if (window.size() < kLengthBytes) {
    if (!complete) return {.kind = Frame::Kind::need_more};
    if (window.empty()) return {.kind = Frame::Kind::ended};
    return broken_off(window, fmt::format("the input ends after {} of the 4 bytes of a length", window.size()));
  }
  const std::uint32_t length = load_be<std::uint32_t>(as_bytes(window).data());
  if (length == kNullLength) return {.kind = Frame::Kind::record, .is_null = true, .consumed = kLengthBytes};
  if (length > record_bytes_max_) {
    discarding_ = true;
    discard_left_ = length;
    return too_long(kLengthBytes);
  }
  const std::size_t have = window.size() - kLengthBytes;
  if (have < length) {
    if (!complete) return {.kind = Frame::Kind::need_more};
    return broken_off(window, fmt::format("the input ends after {} of {} bytes", have, length));
  }
  return {.kind = Frame::Kind::record, .begin = kLengthBytes, .size = length, .consumed = kLengthBytes + length};
}

Frame Framer::next_whole(std::string_view window, bool complete) {
  if (window.size() > record_bytes_max_) {
    discarding_ = true;
    return too_long(window.size());
  }
  if (!complete) return {.kind = Frame::Kind::need_more};
  if (window.empty()) return {.kind = Frame::Kind::ended};
  return {.kind = Frame::Kind::record, .size = window.size(), .consumed = window.size()};
}

// Goes to the end of a record that was a fault, without keeping any of it.
Frame Framer::discard(std::string_view window, bool complete) {
  std::size_t done = window.size();
  if (framing_ == Framing::u32be) {
    done = static_cast<std::size_t>(std::min<std::uint64_t>(window.size(), discard_left_));
    discard_left_ -= done;
    discarding_ = discard_left_ != 0 && !complete;
  } else if (framing_ == Framing::raw) {
    discarding_ = !complete;
  } else if (const std::size_t at = find_delimiter(window, 0); at != std::string_view::npos) {
    done = at + delimiter_.size();
    discarding_ = false;
  } else if (complete) {
    discarding_ = false;
  } else {
    done -= std::min(window.size(), delimiter_.size() - 1);
  }
  return {.kind = Frame::Kind::need_more, .consumed = done};
}

Frame Framer::too_long(std::size_t consumed) {
  fault_ = "too long";
  fault_is_length_ = true;
  return {.kind = Frame::Kind::fault, .consumed = consumed};
}

Frame Framer::broken_off(std::string_view window, std::string what) {
  fault_ = std::move(what);
  fault_is_length_ = false;
  return {.kind = Frame::Kind::fault, .consumed = window.size()};
}

}  // namespace leat::tools
