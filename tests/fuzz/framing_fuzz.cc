// Fuzzes the framings of produce: however the input arrives, the same records come out; put together again, they are
// the input; and no window grows beyond what the limit allows. The first bytes choose framing, limit and pieces.
//
// Build, with the include directory that `meson setup` makes in the build directory:
//   clang++-19 -std=c++2b -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DFMT_HEADER_ONLY=1 -I.
//     -Ibuild/include tests/fuzz/framing_fuzz.cc tools/input_framing.cc libcore/base/error.cc -o framing_fuzz
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/bytes.h"
#include "leat/base/error.h"
#include "tools/input_framing.h"

namespace {

using namespace leat::tools;

struct Setup {
  Framing framing;
  std::string delimiter;
  std::size_t limit;
};

struct Record {
  bool fault;
  bool is_null;
  std::string bytes;
  friend bool operator==(const Record&, const Record&) = default;
};

std::vector<Record> cut(const Setup& setup, std::string_view input, std::size_t step) {
  Framer framer(setup.framing, setup.delimiter, setup.limit);
  std::vector<Record> records;
  std::size_t begin = 0;
  std::size_t end = 0;
  bool complete = false;
  for (std::size_t turns = 0;; ++turns) {
    ASSERT(turns <= 4 * input.size() + 10);
    const std::string_view window = input.substr(begin, end - begin);
    const Frame frame = framer.next(window, complete);
    ASSERT(frame.consumed <= window.size());
    begin += frame.consumed;
    switch (frame.kind) {
      case Frame::Kind::record:
        ASSERT(frame.begin + frame.size <= frame.consumed && frame.size <= setup.limit);
        records.push_back({false, frame.is_null, std::string(window.substr(frame.begin, frame.size))});
        break;
      case Frame::Kind::fault:
        records.push_back({true, false, framer.fault()});
        break;
      case Frame::Kind::ended:
        ASSERT(begin == input.size());
        return records;
      case Frame::Kind::need_more:
        if (frame.consumed != 0 || complete) break;
        // The limit, a delimiter that is not whole, or a length: more is never needed.
        ASSERT(window.size() < setup.limit + std::max<std::size_t>(setup.delimiter.size(), 4) + 1);
        complete = end == input.size();
        end = std::min(end + step, input.size());
        break;
    }
  }
}

// What the records would have been read from; the last delimiter is not known.
std::string put_together(const Setup& setup, const std::vector<Record>& records) {
  std::string bytes;
  for (const Record& record : records) {
    if (setup.framing == Framing::u32be) {
      std::byte length[4];
      leat::store_be(length, record.is_null ? 0xFFFFFFFFU : static_cast<std::uint32_t>(record.bytes.size()));
      bytes += leat::as_text(length);
    }
    bytes += record.bytes;
    if (setup.framing == Framing::lines || setup.framing == Framing::json) bytes += '\n';
    if (setup.framing == Framing::nul) bytes += '\0';
    if (setup.framing == Framing::delim) bytes += setup.delimiter;
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Setup setup{.framing = static_cast<Framing>(data[0] % 6), .delimiter = "", .limit = data[1]};
  const std::size_t step = data[2] % 16 + 1U;
  std::string_view input = text.substr(4);
  if (setup.framing == Framing::delim) {
    const std::size_t length = std::min<std::size_t>(data[3] % 4 + 1U, input.size());
    if (length == 0) return 0;
    setup.delimiter = input.substr(0, length);
    input.remove_prefix(length);
  }
  const auto whole = cut(setup, input, input.size() + 1);
  ASSERT(cut(setup, input, step) == whole);
  ASSERT(cut(setup, input, 1) == whole);
  if (std::ranges::any_of(whole, &Record::fault)) return 0;
  const std::string again = put_together(setup, whole);
  ASSERT(again == input || again == std::string(input) + (setup.framing == Framing::nul     ? std::string(1, '\0')
                                                          : setup.framing == Framing::delim ? setup.delimiter
                                                                                            : "\n"));
  return 0;
}
