// A program outside this tree that uses the installed library: produces into a topic and consumes from it.
#include <leat/backend/backend.h>

#include <cstdio>
#include <string>

namespace {

leat::Result<void> run(const std::string& directory) {
  const auto backend = TRY(leat::open_backend(directory, {.create = true}));
  leat::TopicSettings settings;
  settings.partitions = 2;
  settings.compression = leat::Codec::lz4;
  TRY(backend->create_topic("greetings", settings));

  const auto producer = TRY(backend->open_producer("greetings", {}));
  producer->on_acknowledged([](std::span<const leat::Receipt> receipts) {
    for (const auto& receipt : receipts)
      std::printf("acknowledged at offset %d\n", static_cast<int>(receipt.offset.value));
  });
  TRY(producer->send({.key = "user-1", .value = "hello"}));
  TRY(producer->send({.key = "user-1", .value = "again"}));
  TRY(producer->flush());

  leat::GroupOptions options;
  options.read = {.topics = {{.topic = "greetings"}}, .start = {leat::StartAt::Kind::beginning}, .follow = false};
  options.strategy = leat::OffsetStrategy::manual;
  const auto reader = TRY(backend->join_group("program", options));
  for (;;) {
    const auto fetch = TRY(reader->next(leat::Milliseconds(100)));
    if (fetch.state == leat::Fetch::State::ended) break;
    for (const auto& record : fetch.records) {
      std::printf("%.*s: %.*s\n", static_cast<int>(record.key->size()), record.key->data(),
                  static_cast<int>(record.value->size()), record.value->data());
    }
    if (!fetch.records.empty()) TRY(reader->commit({&fetch.position, 1}));
  }
  return {};
}

}  // namespace

int main(int, char** argv) {
  const auto done = run(argv[1]);
  if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
