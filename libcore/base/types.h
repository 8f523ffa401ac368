// Offset, PartitionId and TimestampMs: integers that must not be mixed up. No I/O.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace leat {

// An integer with a name. Adding a plain count is allowed; the difference of two is a plain count.
template <class Tag, class Rep>
struct Tagged {
  Rep value = 0;

  friend constexpr auto operator<=>(Tagged, Tagged) = default;
  friend constexpr Tagged operator+(Tagged a, Rep count) { return {static_cast<Rep>(a.value + count)}; }
  friend constexpr Tagged operator-(Tagged a, Rep count) { return {static_cast<Rep>(a.value - count)}; }
  friend constexpr Rep operator-(Tagged a, Tagged b) { return static_cast<Rep>(a.value - b.value); }
  constexpr Tagged& operator+=(Rep count) { return *this = *this + count; }
  constexpr Tagged& operator++() { return *this += 1; }
};

// The place of a record in its partition; dense, from 0.
using Offset = Tagged<struct OffsetTag, std::int64_t>;
// The number of a partition in its topic, from 0.
using PartitionId = Tagged<struct PartitionIdTag, std::int32_t>;
// Milliseconds since 1970-01-01T00:00Z.
using TimestampMs = Tagged<struct TimestampMsTag, std::int64_t>;

}  // namespace leat

template <class Tag, class Rep>
struct std::hash<leat::Tagged<Tag, Rep>> {
  std::size_t operator()(leat::Tagged<Tag, Rep> tagged) const noexcept { return std::hash<Rep>{}(tagged.value); }
};
