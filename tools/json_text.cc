#include "tools/json_text.h"

#include "leat/base/hex.h"
#include "tools/output.h"

namespace leat::tools {
namespace {

// Copies tokens as it recognises them. `nesting_` holds the open brackets, so deep documents use no stack.
class Compactor {
 public:
  Compactor(std::string& to, std::string_view text) : to_(to), text_(text) {}

  bool run() {
    Expect expect = Expect::value;
    while (true) {
      skip_space();
      switch (expect) {
        case Expect::value:
        case Expect::value_or_close:
          if (opens(expect)) break;
          if (expect == Expect::value_or_close && closes(']', expect)) break;
          if (!scalar()) return false;
          expect = Expect::after_value;
          break;
        case Expect::name:
        case Expect::name_or_close:
          if (expect == Expect::name_or_close && closes('}', expect)) break;
          if (!string()) return false;
          skip_space();
          if (!take(':')) return false;
          expect = Expect::value;
          break;
        case Expect::after_value:
          if (nesting_.empty()) return at_ == text_.size();
          if (take(',')) {
            expect = nesting_.back() == '{' ? Expect::name : Expect::value;
          } else if (!closes(nesting_.back() == '{' ? '}' : ']', expect)) {
            return false;
          }
          break;
      }
    }
  }

 private:
  enum class Expect { value, value_or_close, name, name_or_close, after_value };

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  bool take(char wanted) {
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    to_ += wanted;
    ++at_;
    return true;
  }

  bool opens(Expect& expect) {
    if (take('{')) {
      nesting_ += '{';
      expect = Expect::name_or_close;
      return true;
    }
    if (take('[')) {
      nesting_ += '[';
      expect = Expect::value_or_close;
      return true;
    }
    return false;
  }

  bool closes(char bracket, Expect& expect) {
    if (!take(bracket)) return false;
    nesting_.pop_back();
    expect = Expect::after_value;
    return true;
  }

  bool scalar() {
    if (peek() == '"') return string();
    for (const std::string_view word : {"true", "false", "null"}) {
      if (text_.substr(at_, word.size()) == word) {
        to_ += word;
        at_ += word.size();
        return true;
      }
    }
    return number();
  }

  bool string() {
    const std::size_t start = at_;
    if (peek() != '"') return false;
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c == '"') {
        ++at_;
        to_ += text_.substr(start, at_ - start);
        return true;
      }
      if (c == '\\' && !escape()) return false;
    }
    return false;
  }

  // At a backslash; leaves the place on the last character of the escape.
  bool escape() {
    ++at_;
    if (peek() == 'u') {
      for (int digit = 0; digit < 4; ++digit) {
        ++at_;
        if (hex_digit(peek()) < 0) return false;
      }
      return true;
    }
    return at_ < text_.size() && std::string_view("\"\\/bfnrt").find(text_[at_]) != std::string_view::npos;
  }

  bool number() {
    const std::size_t start = at_;
    if (peek() == '-') ++at_;
    if (peek() == '0') {
      ++at_;
    } else if (!digits()) {
      return false;
    }
    if (peek() == '.') {
      ++at_;
      if (!digits()) return false;
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (!digits()) return false;
    }
    to_ += text_.substr(start, at_ - start);
    return true;
  }

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }

  bool digits() {
    const std::size_t start = at_;
    while (is_digit(peek())) ++at_;
    return at_ != start;
  }

  std::string& to_;
  std::string_view text_;
  std::size_t at_ = 0;
  std::string nesting_;
};

}  // namespace

bool append_compact_json(std::string& to, std::string_view text) {
  const std::size_t start = to.size();
  if (is_utf8(text) && Compactor(to, text).run()) return true;
  to.resize(start);
  return false;
}

}  // namespace leat::tools
