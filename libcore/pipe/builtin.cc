#include "leat/pipe/builtin.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/pipe/json_field.h"
#include "leat/pipe/message_view.h"

namespace leat::pipe {
namespace {

// The message with another value.
Outcome with_value(const Message& message, std::optional<std::string> value) {
  Outcome outcome{Outcome::Kind::changed};
  outcome.message = {
      .key = message.key, .value = std::move(value), .headers = message.headers, .timestamp = message.timestamp};
  return outcome;
}

// A mapper that decides for each message by itself.
template <class Decide>
class EachMapper final : public Mapper {
 public:
  explicit EachMapper(Decide decide) : decide_(std::move(decide)) {}

  Result<void> map(std::span<const Message> messages, std::vector<Outcome>& outcomes,
                   const std::atomic<bool>&) override {
    for (const Message& message : messages) outcomes.push_back(decide_(message));
    return {};
  }

 private:
  Decide decide_;
};

template <class Decide>
MakeMapper each(Decide decide) {
  return [decide](const WorkSurroundings&) -> Result<std::unique_ptr<Mapper>> {
    return std::make_unique<EachMapper<Decide>>(decide);
  };
}

template <class Reduce>
class BatchReducer final : public Reducer {
 public:
  explicit BatchReducer(Reduce reduce) : reduce_(std::move(reduce)) {}

  Result<Outcome> reduce(std::span<const Message> batch, const std::atomic<bool>&) override {
    Outcome outcome{Outcome::Kind::changed};
    for (const Message& message : batch)
      outcome.message.timestamp = std::max(outcome.message.timestamp, message.timestamp);
    outcome.message.value = reduce_(batch);
    return outcome;
  }

 private:
  Reduce reduce_;
};

template <class Reduce>
MakeReducer whole(Reduce reduce) {
  return [reduce](const WorkSurroundings&) -> Result<std::unique_ptr<Reducer>> {
    return std::make_unique<BatchReducer<Reduce>>(reduce);
  };
}

std::string shown(const std::vector<std::string>& path) {
  return fmt::format("{}", fmt::join(path, "."));
}

}  // namespace

MakeMapper template_mapper(const RecordTemplate& value) {
  return each([made = value](const Message& message) mutable -> Outcome {
    std::string text;
    if (auto appended = made.append(text, MessageView(message).record(), false); !appended)
      return Outcome::refuse(appended.error().message);
    return with_value(message, std::move(text));
  });
}

MakeMapper json_field_mapper(const JsonFieldOptions& options) {
  return each([options](const Message& message) -> Outcome {
    auto field = json_field(message.value.value_or("null"), options.path);
    if (!field) return Outcome::refuse(fmt::format("the value is {}", field.error().message));
    if (!*field && options.missing == Missing::drop) return {Outcome::Kind::dropped};
    if (!*field && options.missing == Missing::refuse)
      return Outcome::refuse(fmt::format("the value has no member \"{}\"", shown(options.path)));
    Outcome outcome = with_value(message, options.to_key ? message.value : *field);
    if (options.to_key) outcome.message.key = *std::move(field);
    return outcome;
  });
}

MakeMapper json_field_filter(const JsonFilterOptions& options) {
  return each([options](const Message& message) -> Outcome {
    const auto field = json_field(message.value.value_or("null"), options.path);
    if (!field) return Outcome::refuse(fmt::format("the value is {}", field.error().message));
    const bool matches =
        *field && (options.equals.empty() || std::ranges::find(options.equals, **field) != options.equals.end());
    return {matches != options.negated ? Outcome::Kind::passed : Outcome::Kind::dropped};
  });
}

MakeReducer count_reducer() {
  return whole([](std::span<const Message> batch) { return std::to_string(batch.size()); });
}

MakeReducer lines_reducer() {
  return whole([](std::span<const Message> batch) {
    std::string lines;
    for (const Message& message : batch)
      if (message.value) lines.append(*message.value).append("\n");
    return lines;
  });
}

}  // namespace leat::pipe
