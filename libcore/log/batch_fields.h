// A record batch field by field, for people: where each one lies, its bytes, what it says and what that means. Damaged
// batches are told as far as they go: nothing is believed that the bytes do not show.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "leat/log/batch.h"

namespace leat {

// One field of a batch or of a record in it.
struct BatchField {
  std::optional<std::int64_t> at = {};  // byte of the batch; none in records that are compressed
  Bytes bytes = {};                     // points into the batch, or into what was decompressed
  std::string name = {};
  std::string value = {};
  std::string meaning = {};
};

// The header's fields in `bytes`, which begin where a batch should: as many as are there whole. `due` is the base
// offset that should be found.
std::vector<BatchField> header_fields(Bytes bytes, Offset due);

// The records of one batch.
class RecordFields {
 public:
  // `batch` begins with a whole header; its records may be damaged. Must outlive the object.
  explicit RecordFields(Bytes batch);

  // The fields of the next record; empty behind the last one, and where the bytes make no sense any more: fault() then
  // says why.
  std::vector<BatchField> next();
  const std::string& fault() const { return fault_; }

 private:
  Bytes batch_;
  BatchHeader header_;
  std::vector<std::byte> plain_;
  Bytes records_;       // not compressed
  std::size_t at_ = 0;  // in records_
  std::int32_t number_ = 0;
  std::string fault_;
};

}  // namespace leat
