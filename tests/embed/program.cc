// A program outside this tree that uses the installed library: produces, ingests a list exactly once although it is
// given twice, and consumes it with two members of a group, each on a thread of its own.
#include <leat/backend/backend.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <string>
#include <thread>

namespace {

leat::Result<void> greet(leat::Backend& backend) {
  const auto producer = TRY(backend.open_producer("greetings", {}));
  producer->on_acknowledged([](std::span<const leat::Receipt> receipts) {
    for (const auto& receipt : receipts)
      std::printf("acknowledged at offset %d\n", static_cast<int>(receipt.offset.value));
  });
  TRY(producer->send({.key = "user-1", .value = "hello"}));
  TRY(producer->send({.key = "user-1", .value = "again"}));
  return producer->flush();
}

// Strategy manual: what is committed has been dealt with.
leat::Result<void> print_greetings(leat::Backend& backend) {
  leat::GroupOptions options;
  options.read = {.topics = {{.topic = "greetings"}}, .start = {leat::StartAt::Kind::beginning}, .follow = false};
  options.strategy = leat::OffsetStrategy::manual;
  const auto reader = TRY(backend.join_group("program", options));
  for (;;) {
    const auto fetch = TRY(reader->next(leat::Milliseconds(100)));
    if (fetch.state == leat::Fetch::State::ended) return {};
    for (const auto& record : fetch.records) {
      std::printf("%.*s: %.*s\n", static_cast<int>(record.key->size()), record.key->data(),
                  static_cast<int>(record.value->size()), record.value->data());
    }
    if (!fetch.records.empty()) TRY(reader->commit({&fetch.position, 1}));
  }
}

// The same input under the same name: what is there already is counted off.
leat::Result<void> ingest(leat::Backend& backend, int records) {
  leat::ProducerOptions options;
  options.producer_name = "numbers-of-today";
  const auto producer = TRY(backend.open_producer("numbers", options));
  for (int number = 0; number < records; ++number) {
    const std::string text = std::to_string(number);
    TRY(producer->send({.value = text}));
  }
  TRY(producer->end_of_input());
  TRY(producer->flush());
  std::printf("%d appended, %d there already\n", static_cast<int>(producer->acknowledged()),
              static_cast<int>(producer->skipped()));
  return {};
}

// One member, with strategy automatic. The backend is shared by the threads, the reader is this thread's.
leat::Result<void> count(leat::Backend& backend, std::atomic<int>& records) {
  leat::GroupOptions options;
  options.read = {.topics = {{.topic = "numbers"}}, .start = {leat::StartAt::Kind::beginning}, .follow = false};
  options.description = "a thread of the program";
  const auto member = TRY(backend.join_group("counters", options));
  for (;;) {
    const auto fetch = TRY(member->next(leat::Milliseconds(1000)));
    if (fetch.state == leat::Fetch::State::ended) return member->leave();
    records += static_cast<int>(fetch.records.size());
  }
}

leat::Result<void> count_on_two_threads(leat::Backend& backend) {
  std::atomic<int> records = 0;
  std::array<leat::Result<void>, 2> outcomes;
  {
    std::array<std::jthread, 2> threads;
    for (std::size_t i = 0; i < threads.size(); ++i)
      threads[i] = std::jthread([&, i] { outcomes[i] = count(backend, records); });
  }
  for (auto& outcome : outcomes) TRY(std::move(outcome));
  std::printf("%d counted by two members\n", records.load());
  return {};
}

leat::Result<void> run(const std::string& directory) {
  const auto backend = TRY(leat::open_backend(directory, {.create = true}));
  leat::TopicSettings settings;
  settings.partitions = 2;
  settings.compression = leat::Codec::lz4;
  TRY(backend->create_topic("greetings", settings));
  TRY(greet(*backend));
  TRY(print_greetings(*backend));

  settings.partitions = 7;
  TRY(backend->create_topic("numbers", settings));
  TRY(ingest(*backend, 6000));
  TRY(ingest(*backend, 10000));
  return count_on_two_threads(*backend);
}

}  // namespace

int main(int, char** argv) {
  const auto done = run(argv[1]);
  if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
