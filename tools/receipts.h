// Receipts of acknowledged records as lines on stdout, and as the ranges that `produce -v` names.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "leat/backend/backend.h"

namespace leat::tools {

enum class ReceiptFormat : std::uint8_t { none, text, json };

// Appends a line for each: "TOPIC PARTITION OFFSET", or {"topic":"t","partition":0,"offset":3}.
void append_receipts(std::string& to, ReceiptFormat format, std::string_view topic, std::span<const Receipt> receipts);

// Offsets of one partition in a row, both ends included.
struct ReceiptRange {
  PartitionId partition{};
  Offset first{};
  Offset last{};
};

// Receipts gathered into ranges, in the order in which these began.
class ReceiptRanges {
 public:
  // A receipt continues its partition's latest range, or begins one where an offset in between is somebody else's.
  void add(std::span<const Receipt> receipts);
  void clear();

  // "partition 0 offset 5 to 16, partition 1 offset 3"; of many, the first few and how many more there are.
  std::string to_string() const;

 private:
  std::vector<ReceiptRange> ranges_;
  std::unordered_map<PartitionId, std::size_t> latest_;  // by partition, an index into ranges_
};

}  // namespace leat::tools
