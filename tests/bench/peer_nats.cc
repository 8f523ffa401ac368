// The peer NATS JetStream: a stream in files, through its C client. The server of Debian 12 has no way to sync before
// it acknowledges; it does so every two minutes.
//
//   peer_nats bulk PORT MAX_PENDING          lines of standard input, so many published before they are acknowledged
//   peer_nats consume PORT                   all values to standard output, a newline after each
//   peer_nats count PORT
//   peer_nats single PORT COUNT BYTES
//   peer_nats writers PORT PROCESSES COUNT BYTES
//   peer_nats follow PORT COUNT BYTES        an ordered consumer in another process
#include <nats/nats.h>

#include <atomic>
#include <memory>
#include <string_view>

#include "relay.h"

namespace {

std::atomic<bool> publish_failed = false;

void good(natsStatus status) {
  if (status != NATS_OK) bench::die(std::string("nats: ") + natsStatus_GetText(status));
}

class Stream {
 public:
  explicit Stream(long port, long max_pending = 1000) {
    good(natsConnection_ConnectTo(&connection_, ("nats://127.0.0.1:" + std::to_string(port)).c_str()));
    jsOptions options;
    jsOptions_Init(&options);
    options.PublishAsync.MaxPending = max_pending;
    options.PublishAsync.StallWait = 60'000;
    options.PublishAsync.ErrHandler = [](jsCtx*, jsPubAckErr*, void*) { publish_failed = true; };
    good(natsConnection_JetStream(&stream_, connection_, &options));
    create();
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    natsSubscription_Destroy(subscription_);
    jsCtx_Destroy(stream_);
    natsConnection_Destroy(connection_);
  }

  void publish(std::string_view value) {
    good(js_Publish(nullptr, stream_, "s", value.data(), static_cast<int>(value.size()), nullptr, nullptr));
  }

  void publish_later(std::string_view value) {
    good(js_PublishAsync(stream_, "s", value.data(), static_cast<int>(value.size()), nullptr));
  }

  void wait_published() {
    good(js_PublishAsyncComplete(stream_, nullptr));
    if (publish_failed) bench::die("nats: a message was not acknowledged");
  }

  void subscribe() {
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Ordered = true;
    good(js_SubscribeSync(&subscription_, stream_, "s", nullptr, &options, nullptr));
    good(natsSubscription_SetPendingLimits(subscription_, -1, -1));
  }

  template <class Use>
  void next(Use use) {
    natsMsg* message = nullptr;
    good(natsSubscription_NextMsg(&message, subscription_, 60'000));
    use(std::string_view(natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))));
    natsMsg_Destroy(message);
  }

  std::uint64_t messages() {
    jsStreamInfo* info = nullptr;
    good(js_GetStreamInfo(&info, stream_, "s", nullptr, nullptr));
    const std::uint64_t messages = info->State.Msgs;
    jsStreamInfo_Destroy(info);
    return messages;
  }

 private:
  void create() {
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    const char* subjects[] = {"s"};
    config.Name = "s";
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    good(js_AddStream(nullptr, stream_, &config, nullptr, nullptr));
  }

  natsConnection* connection_ = nullptr;
  jsCtx* stream_ = nullptr;
  natsSubscription* subscription_ = nullptr;
};

void bulk(long port, long max_pending) {
  Stream stream(port, max_pending);
  char* line = nullptr;
  std::size_t capacity = 0;
  for (ssize_t size = 0; (size = ::getline(&line, &capacity, stdin)) > 0;) {
    stream.publish_later({line, static_cast<std::size_t>(size - 1)});
  }
  stream.wait_published();
  std::free(line);
}

void consume(long port) {
  Stream stream(port);
  stream.subscribe();
  for (std::uint64_t left = stream.messages(); left > 0; --left) {
    stream.next([](std::string_view value) {
      std::fwrite(value.data(), 1, value.size(), stdout);
      std::putchar('\n');
    });
  }
  bench::must(std::fflush(stdout) == 0, "write");
}

void single(long port, long count, const std::string& value) {
  Stream stream(port);
  bench::time_each(count, [&] { stream.publish(value); });
}

void writers(long port, long processes, long count, const std::string& value) {
  bench::time_crew(processes, count, [&](int) {
    auto stream = std::make_shared<Stream>(port);
    return [stream, count, value] {
      for (long i = 0; i < count; ++i) stream->publish(value);
    };
  });
}

void follow(long port, long count, const std::string& value) {
  bench::time_relay(
      count,
      [port](bench::Arrivals& arrivals) {
        Stream stream(port);
        stream.subscribe();
        for (;;) stream.next([&](std::string_view) { arrivals.note(); });
      },
      [port, value] {
        auto stream = std::make_shared<Stream>(port);
        return [stream, value] { stream->publish(value); };
      });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) bench::die("peer_nats bulk|consume|count|single|writers|follow PORT ...");
  const std::string_view what = argv[1];
  const long port = bench::number(argv, 2);
  const auto value = [&](int index) { return std::string(static_cast<std::size_t>(bench::number(argv, index)), 'x'); };
  if (what == "bulk") bulk(port, bench::number(argv, 3));
  if (what == "consume") consume(port);
  if (what == "count") std::printf("%llu\n", static_cast<unsigned long long>(Stream(port).messages()));
  if (what == "single") single(port, bench::number(argv, 3), value(4));
  if (what == "writers") writers(port, bench::number(argv, 3), bench::number(argv, 4), value(5));
  if (what == "follow") follow(port, bench::number(argv, 3), value(4));
}
