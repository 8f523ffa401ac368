// Fuzzes what goes over the pipes of a stage's program: however the program's output is cut into pieces, the same
// frames come out of it, and they are all of it; any frame as an answer is an outcome; and what was appended as a frame
// is read back as the same message.
#include <fmt/format.h>

#include <vector>

#include "leat/pipe/framing.h"
#include "tests/fuzz/fuzz.h"

namespace leat::fuzz {
namespace {

using namespace leat::pipe;

using Frame = std::optional<std::string>;

struct Taken {
  std::vector<Frame> frames;
  std::string left;      // of which no frame is whole yet
  bool refused = false;  // and never will be

  friend bool operator==(const Taken&, const Taken&) = default;
};

// As a stage reads: a buffer that grows by what arrives, and loses what was taken.
Taken take_all(std::string_view output, std::size_t step, Framing framing, std::size_t bytes_max = kAnswerBytesMax) {
  Taken taken;
  for (std::size_t at = 0; at < output.size() && !taken.refused; at += step) {
    taken.left += output.substr(at, step);
    std::size_t done = 0;
    while (true) {
      const std::size_t before = done;
      std::optional<std::string_view> frame;
      const auto whole = take_frame(taken.left, done, framing, bytes_max, frame);
      taken.refused = !whole;
      if (!whole || !*whole) {
        ASSERT(done == before);
        if (!whole) ASSERT(whole.error().code == Code::bad_data && !whole.error().message.empty());
        break;
      }
      ASSERT(done > before && done <= taken.left.size());
      ASSERT(!frame || frame->size() <= bytes_max);
      taken.frames.push_back(frame ? Frame(*frame) : std::nullopt);
    }
    taken.left.erase(0, done);
  }
  return taken;
}

void append_length(std::string& to, std::uint32_t length) {
  for (const int shift : {24, 16, 8, 0}) to += static_cast<char>(length >> shift & 0xFF);
}

std::string put_together(const Taken& taken, Framing framing) {
  std::string output;
  for (const Frame& frame : taken.frames) {
    ASSERT(frame || framing == Framing::u32be);
    if (framing == Framing::u32be) append_length(output, frame ? static_cast<std::uint32_t>(frame->size()) : ~0U);
    output += frame.value_or("");
    if (framing != Framing::u32be) output += '\n';
  }
  return output + taken.left;
}

Message asked_message() {
  Message asked{
      .key = "k", .value = "v", .headers = {{"h", "1"}, {"n", std::nullopt}}, .timestamp = {1'700'000'000'000}};
  asked.sources.push_back({"t", {3}, {7}, {7}});
  return asked;
}

bool same(const Message& a, const Message& b) {
  return a.key == b.key && a.value == b.value && a.headers == b.headers && a.timestamp == b.timestamp;
}

// A message as a frame, and as the program's answer to `asked` when it repeats that frame.
Outcome answered_by_itself(const Message& message, Framing framing, const Message& asked) {
  std::string frame;
  must(append_frame(frame, framing, message));
  const Taken taken = take_all(frame, frame.size(), framing);
  ASSERT(taken.frames.size() == 1 && taken.left.empty() && !taken.refused);
  const Frame& content = taken.frames.front();
  return read_answer(framing, content ? std::optional<std::string_view>(*content) : std::nullopt, asked, false);
}

void check_outcome(const Outcome& outcome, bool filters, const Message& asked) {
  if (outcome.kind == Outcome::Kind::refused) return;
  ASSERT(outcome.reason.empty());
  if (filters) ASSERT(outcome.kind == Outcome::Kind::passed || outcome.kind == Outcome::Kind::dropped);
  if (outcome.kind != Outcome::Kind::changed) return;
  // What a program made of a record can be given to the next.
  Message made = outcome.message;
  made.sources = asked.sources;
  ASSERT(same(answered_by_itself(made, Framing::json, asked).message, made));
}

void check_output(Framing framing, std::size_t step, bool filters, std::string_view output) {
  const std::size_t bytes_max = step % 2 == 0 ? kAnswerBytesMax : 16;
  const Taken whole = take_all(output, output.size() + 1, framing, bytes_max);
  ASSERT(take_all(output, 1, framing, bytes_max).frames == whole.frames);
  const Taken pieces = take_all(output, step, framing, bytes_max);
  ASSERT(pieces.frames == whole.frames && pieces.refused == whole.refused);
  if (!whole.refused) ASSERT(pieces == whole && put_together(whole, framing) == output);
  const Message asked = asked_message();
  for (const Frame& frame : whole.frames) {
    const auto content = frame ? std::optional<std::string_view>(*frame) : std::nullopt;
    check_outcome(read_answer(framing, content, asked, filters), filters, asked);
  }
}

std::optional<std::string> maybe_text(Source& input) {
  const std::uint8_t size = input.byte();
  return size == 255 ? std::nullopt : std::optional<std::string>(input.text(size % 64));
}

Message any_message(Source& input) {
  Message message = asked_message();
  message.headers.clear();
  message.key = maybe_text(input);
  message.value = maybe_text(input);
  for (int i = input.byte() % 3; i > 0; --i)
    message.headers.emplace_back(maybe_text(input).value_or(""), maybe_text(input));
  message.timestamp = {input.number<std::int64_t>()};
  return message;
}

void check_message(Framing framing, const Message& message) {
  Message asked = asked_message();
  std::string frame = "before";
  const auto appended = append_frame(frame, framing, message);
  if (framing == Framing::lines && (!message.value || message.value->find('\n') != std::string::npos)) {
    ASSERT(!appended && appended.error().code == Code::bad_data && frame == "before");
    return;
  }
  must(appended);
  const Outcome outcome = answered_by_itself(message, framing, asked);
  ASSERT(outcome.kind == Outcome::Kind::changed);
  if (framing == Framing::json) {
    ASSERT(same(outcome.message, message));
  } else {
    asked.value = message.value;
    ASSERT(same(outcome.message, asked));
  }
}

// A batch is one frame, and in it, of u32be, there is one for each value.
void check_batch(Framing framing, std::span<const Message> batch) {
  if (framing == Framing::lines) return;
  std::string text;
  append_batch_frame(text, framing, batch);
  const Taken outer = take_all(text, text.size(), framing);
  ASSERT(outer.frames.size() == 1 && outer.left.empty());
  if (framing == Framing::json) return;
  const Taken inner = take_all(*outer.frames.front(), text.size(), framing);
  ASSERT(inner.left.empty() && inner.frames.size() == batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) ASSERT(inner.frames[i] == batch[i].value);
}

void check(Source input) {
  const std::uint8_t choice = input.byte();
  const auto framing = static_cast<Framing>(choice % 3);
  if ((choice & 0x80) == 0) {
    const std::size_t step = input.byte() % 16 + 1U;
    return check_output(framing, step, (choice & 0x40) != 0, input.rest());
  }
  std::vector<Message> batch;
  for (int i = choice / 3 % 4; i >= 0; --i) batch.push_back(any_message(input));
  for (const Message& message : batch) check_message(framing, message);
  check_batch(framing, batch);
}

}  // namespace
}  // namespace leat::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leat::fuzz::check(leat::fuzz::Source(data, size));
  return 0;
}
