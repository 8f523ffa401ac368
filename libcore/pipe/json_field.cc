#include "leat/pipe/json_field.h"

#include <fmt/format.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

namespace leat::pipe {
namespace {

using Size = rapidjson::SizeType;

// Follows the path down; what lies at its end is written out again.
class Finder {
 public:
  explicit Finder(const std::vector<std::string>& path) : path_(&path) {}

  std::optional<std::string> take() {
    if (!found_ || is_null_) return std::nullopt;
    if (text_) return std::move(text_);
    return std::string(buffer_.GetString(), buffer_.GetSize());
  }

  // The names are RapidJSON's.
  // NOLINTBEGIN(readability-identifier-naming)
  bool Null() {
    if (!writing() && wanted()) is_null_ = true;
    return value([&] { return writer_.Null(); });
  }
  bool Bool(bool truth) {
    return value([&] { return writer_.Bool(truth); });
  }
  bool RawNumber(const char* digits, Size size, bool) {
    return value([&] { return writer_.RawValue(digits, size, rapidjson::kNumberType); });
  }
  bool Int(int) { return false; }  // numbers come as text
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }
  bool String(const char* text, Size size, bool) {
    if (!writing() && wanted()) {
      text_.emplace(text, size);
      found_ = true;
      return true;
    }
    return value([&] { return writer_.String(text, size); });
  }
  bool Key(const char* text, Size size, bool) {
    if (writing()) return writer_.Key(text, size);
    at_next_ = depth_ == matched_ + 1 && matched_ < path_->size() && (*path_)[matched_] == std::string_view(text, size);
    return true;
  }
  bool StartObject() { return open(true); }
  bool EndObject(Size) { return shut(true); }
  bool StartArray() { return open(false); }
  bool EndArray(Size) { return shut(false); }
  // NOLINTEND(readability-identifier-naming)

 private:
  bool writing() const { return write_depth_ > 0; }
  // Whether the value that comes now is the one at the end of the path.
  bool wanted() const { return !found_ && at_next_ && matched_ + 1 == path_->size(); }

  template <class Write>
  bool value(const Write& write) {
    if (writing()) return write();
    if (wanted()) {
      found_ = true;
      if (!is_null_ && !write()) return false;
    }
    at_next_ = false;
    return true;
  }

  bool open(bool object) {
    if (writing() || wanted()) {
      found_ = true;
      ++write_depth_;
      return object ? writer_.StartObject() : writer_.StartArray();
    }
    ++depth_;
    // Into an object on the way; an array has no names.
    if (at_next_ && object) ++matched_;
    at_next_ = false;
    return true;
  }

  bool shut(bool object) {
    if (writing()) {
      if (!(object ? writer_.EndObject() : writer_.EndArray())) return false;
      --write_depth_;
      if (write_depth_ == 0) at_next_ = false;
      return true;
    }
    if (object && matched_ > 0 && depth_ == matched_ + 1) --matched_;
    --depth_;
    at_next_ = false;
    return true;
  }

  const std::vector<std::string>* path_;
  std::size_t depth_ = 0;        // brackets open outside of what is written
  std::size_t matched_ = 0;      // parts of the path that the open objects are
  std::size_t write_depth_ = 0;  // brackets open of what is written
  bool at_next_ = false;         // the name just read is the path's next part
  bool found_ = false;
  bool is_null_ = false;
  std::optional<std::string> text_;
  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_{buffer_};
};

}  // namespace

Result<std::optional<std::string>> json_field(std::string_view text, const std::vector<std::string>& path) {
  ASSERT(!path.empty());
  Finder finder(path);
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag | rapidjson::kParseValidateEncodingFlag;
  if (reader.Parse<kFlags>(stream, finder)) return finder.take();
  return fail(Code::bad_data,
              fmt::format("not JSON: {} at byte {}", rapidjson::GetParseError_En(reader.GetParseErrorCode()),
                          reader.GetErrorOffset()));
}

}  // namespace leat::pipe
