// The peer Redis: a stream, through hiredis. How durable it is, the server was told.
//
//   peer_redis bulk PORT PIPELINE            lines of standard input, so many commands before their answers are read
//   peer_redis consume PORT                  all values to standard output, a newline after each
//   peer_redis count PORT
//   peer_redis single PORT COUNT BYTES
//   peer_redis writers PORT PROCESSES COUNT BYTES
//   peer_redis follow PORT COUNT BYTES       XREAD BLOCK in another process
#include <hiredis/hiredis.h>

#include <memory>
#include <string_view>

#include "relay.h"

namespace {

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

class Stream {
 public:
  explicit Stream(long port) : context_(redisConnect("127.0.0.1", static_cast<int>(port))) {
    if (context_ == nullptr || context_->err != 0) bench::die("redis: no connection");
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { redisFree(context_); }

  void queue(std::string_view value) {
    const char* words[] = {"XADD", "s", "*", "v", value.data()};
    const std::size_t sizes[] = {4, 1, 1, 1, value.size()};
    if (redisAppendCommandArgv(context_, 5, words, sizes) != REDIS_OK) bench::die("redis: out of memory");
  }

  // The answer to the oldest command still without.
  Reply answer() {
    void* reply = nullptr;
    if (redisGetReply(context_, &reply) != REDIS_OK) bench::die("redis: the connection is lost");
    return checked(static_cast<redisReply*>(reply));
  }

  void add(std::string_view value) {
    queue(value);
    answer();
  }

  template <class... Arguments>
  Reply command(const char* format, Arguments... arguments) {
    return checked(static_cast<redisReply*>(redisCommand(context_, format, arguments...)));
  }

 private:
  static Reply checked(redisReply* reply) {
    if (reply == nullptr) bench::die("redis: no answer");
    if (reply->type == REDIS_REPLY_ERROR) bench::die(std::string("redis: ") + reply->str);
    return Reply(reply);
  }

  redisContext* context_;
};

void bulk(long port, long pipeline) {
  Stream stream(port);
  char* line = nullptr;
  std::size_t capacity = 0;
  long pending = 0;
  for (ssize_t size = 0; (size = ::getline(&line, &capacity, stdin)) > 0;) {
    stream.queue({line, static_cast<std::size_t>(size - 1)});
    if (++pending < pipeline) continue;
    for (; pending > 0; --pending) stream.answer();
  }
  for (; pending > 0; --pending) stream.answer();
  std::free(line);
}

// An entry is [id, [name, value]].
void consume(long port) {
  Stream stream(port);
  for (std::string from = "-";;) {
    const Reply reply = stream.command("XRANGE s %s + COUNT 1000", from.c_str());
    if (reply->elements == 0) break;
    for (std::size_t i = 0; i < reply->elements; ++i) {
      const redisReply* value = reply->element[i]->element[1]->element[1];
      std::fwrite(value->str, 1, value->len, stdout);
      std::putchar('\n');
    }
    from = std::string("(") + reply->element[reply->elements - 1]->element[0]->str;
  }
  bench::must(std::fflush(stdout) == 0, "write");
}

void single(long port, long count, const std::string& value) {
  Stream stream(port);
  bench::time_each(count, [&] { stream.add(value); });
}

void writers(long port, long processes, long count, const std::string& value) {
  bench::time_crew(processes, count, [&](int) {
    auto stream = std::make_shared<Stream>(port);
    return [stream, count, value] {
      for (long i = 0; i < count; ++i) stream->add(value);
    };
  });
}

void follow(long port, long count, const std::string& value) {
  bench::time_relay(
      count,
      [port](bench::Arrivals& arrivals) {
        Stream stream(port);
        for (std::string last = "0-0";;) {
          // [[stream, [entry...]]]
          const Reply reply = stream.command("XREAD BLOCK 0 STREAMS s %s", last.c_str());
          const redisReply* entries = reply->element[0]->element[1];
          for (std::size_t i = 0; i < entries->elements; ++i) arrivals.note();
          last = entries->element[entries->elements - 1]->element[0]->str;
        }
      },
      [port, value] {
        auto stream = std::make_shared<Stream>(port);
        return [stream, value] { stream->add(value); };
      });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) bench::die("peer_redis bulk|consume|count|single|writers|follow PORT ...");
  const std::string_view what = argv[1];
  const long port = bench::number(argv, 2);
  const auto value = [&](int index) { return std::string(static_cast<std::size_t>(bench::number(argv, index)), 'x'); };
  if (what == "bulk") bulk(port, bench::number(argv, 3));
  if (what == "consume") consume(port);
  if (what == "count") std::printf("%lld\n", Stream(port).command("XLEN s")->integer);
  if (what == "single") single(port, bench::number(argv, 3), value(4));
  if (what == "writers") writers(port, bench::number(argv, 3), bench::number(argv, 4), value(5));
  if (what == "follow") follow(port, bench::number(argv, 3), value(4));
}
