// leat as a library, as a program embeds it: each record is sent and flushed, so that it is on disk before the next.
//
//   subject_embedded single DIR TOPIC COUNT BYTES
//   subject_embedded writers DIR TOPIC PROCESSES COUNT BYTES
//   subject_embedded follow DIR TOPIC COUNT BYTES   a reader in another process
//   subject_embedded commit DIR TOPIC COUNT         a consumer stores its offset, of a topic that has COUNT records
//   subject_embedded open DIR TOPIC COUNT           open the directory, a producer and a reader at the end; close them
#include <leat/backend/backend.h>

#include <memory>

#include "relay.h"

namespace {

template <class T>
T good(leat::Result<T> result) {
  if (!result) bench::die(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// A producer and the backend it must not outlive.
class Sender {
 public:
  Sender(const std::string& directory, const std::string& topic, std::string value)
      : backend_(good(leat::open_backend(directory, {}))),
        producer_(good(backend_->open_producer(topic, {}))),
        value_(std::move(value)) {
    producer_->on_acknowledged([this](std::span<const leat::Receipt> receipts) { receipts_ += receipts.size(); });
  }

  // Returns with the record's receipt.
  void send() {
    const std::size_t before = receipts_;
    good(producer_->send({.value = value_}));
    good(producer_->flush());
    if (receipts_ != before + 1) bench::die("leat: a flush without its receipt");
  }

 private:
  std::unique_ptr<leat::Backend> backend_;
  std::unique_ptr<leat::Producer> producer_;
  std::string value_;
  std::size_t receipts_ = 0;
};

std::string value_of(char** argv, int index) {
  return std::string(static_cast<std::size_t>(bench::number(argv, index)), 'x');
}

void single(char** argv) {
  Sender sender(argv[2], argv[3], value_of(argv, 5));
  bench::time_each(bench::number(argv, 4), [&] { sender.send(); });
}

void writers(char** argv) {
  const long count = bench::number(argv, 5);
  bench::time_crew(bench::number(argv, 4), count, [&](int) {
    auto sender = std::make_shared<Sender>(argv[2], argv[3], value_of(argv, 6));
    return [sender, count] {
      for (long i = 0; i < count; ++i) sender->send();
    };
  });
}

void follow_topic(char** argv, bench::Arrivals& arrivals) {
  const auto backend = good(leat::open_backend(argv[2], {}));
  const auto reader = good(backend->open_reader({.topics = {{.topic = argv[3]}}}));
  for (;;) {
    const auto fetch = good(reader->next(leat::Milliseconds(60'000)));
    for (std::size_t i = 0; i < fetch.records.size(); ++i) arrivals.note();
  }
}

void follow(char** argv) {
  bench::time_relay(
      bench::number(argv, 4), [argv](bench::Arrivals& arrivals) { follow_topic(argv, arrivals); },
      [argv] {
        auto sender = std::make_shared<Sender>(argv[2], argv[3], value_of(argv, 5));
        return [sender] { sender->send(); };
      });
}

void commit(char** argv) {
  const auto backend = good(leat::open_backend(argv[2], {}));
  leat::GroupOptions options;
  options.read = {.topics = {{.topic = argv[3]}}, .start = {leat::StartAt::Kind::beginning}};
  options.strategy = leat::OffsetStrategy::manual;
  const auto member = good(backend->join_group("bench", options));
  leat::Position position;
  while (position.topic.empty()) {
    const auto fetch = good(member->next(leat::Milliseconds(1000)));
    if (!fetch.records.empty()) position = fetch.position;
  }
  position.next = {0};
  bench::time_each(bench::number(argv, 4), [&] {
    ++position.next.value;
    good(member->commit({&position, 1}));
  });
}

void open(char** argv) {
  bench::time_each(bench::number(argv, 4), [&] {
    const auto backend = good(leat::open_backend(argv[2], {}));
    const auto producer = good(backend->open_producer(argv[3], {}));
    const auto reader = good(backend->open_reader({.topics = {{.topic = argv[3]}}, .follow = false}));
    if (good(reader->next(leat::Milliseconds(0))).state != leat::Fetch::State::ended)
      bench::die("leat: not at the end");
  });
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 4 ? argv[1] : "";
  if (what == "single") return single(argv), 0;
  if (what == "writers") return writers(argv), 0;
  if (what == "follow") return follow(argv), 0;
  if (what == "commit") return commit(argv), 0;
  if (what == "open") return open(argv), 0;
  bench::die("subject_embedded single|writers|follow|commit|open DIR TOPIC ...");
}
