// Fuzzes the JSON envelope that produce reads: any line gives a record inside the line or an error, and a record that
// consume's writer turns into an envelope again is read back as the same record.
//
// Build, with the include directory that `meson setup` makes in the build directory:
//   clang++-19 -std=c++2b -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DFMT_HEADER_ONLY=1 -I.
//     -Ibuild/include tests/fuzz/json_record_fuzz.cc tools/json_record.cc tools/envelope.cc tools/text.cc
//     libcore/base/error.cc -o json_record_fuzz
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "leat/base/error.h"
#include "leat/log/record.h"
#include "leat/pipe/envelope.h"
#include "leat/pipe/json_record.h"

namespace {

using namespace leat;

// The text in memory of exactly its size and the byte that may be written over, so that a step outside is seen.
struct Line {
  explicit Line(std::string_view text) : bytes(std::make_unique<char[]>(text.size() + 1)), size(text.size()) {
    std::memcpy(bytes.get(), text.data(), size);
    bytes[size] = '\n';
  }
  std::unique_ptr<char[]> bytes;
  std::size_t size;
};

void check_inside(const Line& line, std::string_view part) {
  ASSERT(part.data() >= line.bytes.get() && part.data() + part.size() <= line.bytes.get() + line.size);
}

bool same(const JsonRecord& a, const JsonRecord& b) {
  return a.key == b.key && a.value == b.value && a.timestamp == b.timestamp &&
         std::ranges::equal(a.headers, b.headers, [](const HeaderView& x, const HeaderView& y) {
           return x.key == y.key && x.value == y.value;
         });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Line line({reinterpret_cast<const char*>(data), size});
  JsonRecord record;
  const Result<void> parsed = parse_json_record(line.bytes.get(), line.size, record);
  if (!parsed) {
    ASSERT(parsed.error().code == Code::bad_data && !parsed.error().message.empty());
    return 0;
  }
  if (record.key) check_inside(line, *record.key);
  if (record.value) check_inside(line, *record.value);
  for (const HeaderView& header : record.headers) {
    check_inside(line, header.key);
    if (header.value) check_inside(line, *header.value);
  }

  RecordView view{.topic = "t", .key = record.key, .value = record.value, .headers = record.headers};
  if (record.timestamp) view.timestamp = *record.timestamp;
  std::string written;
  append_envelope(written, view);
  Line again(written);
  JsonRecord read_back;
  ASSERT(parse_json_record(again.bytes.get(), again.size, read_back));
  if (!record.timestamp) read_back.timestamp.reset();
  ASSERT(same(record, read_back));
  return 0;
}
