// A program outside this tree that keeps the last value of each key of a topic at hand.
#include <leat/backend/backend.h>
#include <leat/store/store.h>

#include <atomic>
#include <cstdio>
#include <string>

namespace {

leat::Result<void> produce(leat::Backend& backend) {
  TRY(backend.create_topic("prices", {}));
  const auto producer = TRY(backend.open_producer("prices", {}));
  TRY(producer->send({.key = "apple", .value = "3"}));
  TRY(producer->send({.key = "pear", .value = "4"}));
  TRY(producer->send({.key = "apple", .value = "5"}));
  TRY(producer->send({.key = "pear", .value = std::nullopt}));
  return producer->flush();
}

leat::Result<void> wait_until_read(leat::Store& store) {
  std::atomic<unsigned> changes = 0;
  store.on_change([&] {
    ++changes;
    changes.notify_all();
  });
  const auto wait_for = [&](const auto& condition) {
    for (unsigned seen = changes; !condition() && !store.failure(); seen = changes) changes.wait(seen);
  };
  wait_for([&] { return store.is_ready(); });
  const auto ticket = store.request_flush();
  wait_for([&] { return store.flushed(ticket); });
  store.on_change({});
  if (auto failure = store.failure()) return std::unexpected(std::move(*failure));
  return {};
}

void print(const leat::Store& store, const std::string& key) {
  const auto answer = store.find(key, [&](const leat::StorePartition&, const leat::StoredValue& found) {
    std::printf("%s: %.*s\n", key.c_str(), static_cast<int>(found.value.size()), found.value.data());
  });
  if (answer == leat::Store::Answer::absent) std::printf("%s: none\n", key.c_str());
}

leat::Result<void> run(const std::string& directory) {
  const auto backend = TRY(leat::open_backend(directory, {.create = true}));
  TRY(produce(*backend));
  const auto store = TRY(leat::Store::open({backend.get(), backend.get(), backend.get()},
                                           {.id = "prices", .source = "prices", .changelog = "prices-changelog"}));
  TRY(wait_until_read(*store));
  print(*store, "apple");
  print(*store, "pear");
  return store->stop();
}

}  // namespace

int main(int, char** argv) {
  const auto done = run(argv[1]);
  if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
