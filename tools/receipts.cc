#include "tools/receipts.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "tools/output.h"

namespace leat::tools {
namespace {

constexpr std::size_t kRangesShown = 8;

}  // namespace

void append_receipts(std::string& to, ReceiptFormat format, std::string_view topic, std::span<const Receipt> receipts) {
  if (format == ReceiptFormat::none) return;
  std::string before{topic};
  if (format == ReceiptFormat::json) {
    before = R"({"topic":)";
    append_json_string(before, topic);
  }
  for (const Receipt& receipt : receipts) {
    to += before;
    const auto end = std::back_inserter(to);
    if (format == ReceiptFormat::text) {
      fmt::format_to(end, " {} {}\n", receipt.partition.value, receipt.offset.value);
    } else {
      fmt::format_to(end, ",\"partition\":{},\"offset\":{}}}\n", receipt.partition.value, receipt.offset.value);
    }
  }
}

void ReceiptRanges::add(std::span<const Receipt> receipts) {
  for (const Receipt& receipt : receipts) {
    const auto [latest, is_first] = latest_.try_emplace(receipt.partition, ranges_.size());
    if (!is_first && ranges_[latest->second].last + 1 == receipt.offset) {
      ranges_[latest->second].last = receipt.offset;
    } else {
      latest->second = ranges_.size();
      ranges_.push_back({.partition = receipt.partition, .first = receipt.offset, .last = receipt.offset});
    }
  }
}

void ReceiptRanges::clear() {
  ranges_.clear();
  latest_.clear();
}

std::string ReceiptRanges::to_string() const {
  std::string text;
  const std::size_t shown = std::min(ranges_.size(), kRangesShown);
  for (const ReceiptRange& range : std::span(ranges_).first(shown)) {
    if (!text.empty()) text += ", ";
    text += fmt::format("partition {} offset {}", range.partition.value, range.first.value);
    if (range.last != range.first) text += fmt::format(" to {}", range.last.value);
  }
  if (shown < ranges_.size()) text += fmt::format(" and {} more", ranges_.size() - shown);
  return text;
}

}  // namespace leat::tools
