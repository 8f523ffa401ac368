#include "tools/http_server.h"

#include <fmt/format.h>
#include <microhttpd.h>
#include <netdb.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>

namespace leat::tools {
namespace {

constexpr int kBacklog = 512;
// Waiting requests are asked again, and deadlines looked at, this often.
constexpr Milliseconds kTick(10);
constexpr Milliseconds kSweep(500);
constexpr unsigned kStatusMax = 600;
// libmicrohttpd's memory for a connection holds the header twice over, in the worst case, and what it writes.
constexpr std::size_t kOwnMemory = 4 << 10;

constexpr unsigned kBadRequest = 400;
constexpr unsigned kMisdirected = 421;
constexpr unsigned kTooLarge = 413;
constexpr unsigned kBusy = 503;
// Of an answer: that all connections have such ones at a time is borne.
constexpr std::size_t kLarge = 64 << 10;

// One connection, from its opening to its end.
struct Connection {
  int fd = -1;
  std::atomic<std::int64_t> deadline_ms = 0;  // steady clock; 0: none
};

std::int64_t steady_ms() {
  return std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// One request.
struct Request {
  std::string target;
  std::string body;
  bool begun = false;  // the header is there
  bool too_large = false;
  std::size_t answer_bytes = 0;  // of a large answer
  std::any memory;
};

Connection* connection_of(MHD_Connection* handle) {
  const MHD_ConnectionInfo* info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info == nullptr ? nullptr : static_cast<Connection*>(info->socket_context);
}

// How the length of a body is told, over all headers, and who is asked.
struct Framing {
  int lengths = 0;
  int encodings = 0;
  int hosts = 0;
  bool plain = true;  // each in the one form that everybody reads alike
  std::uint64_t length = 0;
  std::string_view host = {};
};

bool is_number(const char* text) {
  constexpr std::size_t kDigitsMax = 18;
  const std::size_t size = std::strlen(text);
  return size > 0 && size <= kDigitsMax && std::strspn(text, "0123456789") == size;
}

MHD_Result note_header(void* cls, MHD_ValueKind, const char* name, const char* value) {
  Framing& framing = *static_cast<Framing*>(cls);
  if (value == nullptr) value = "";
  if (::strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
    ++framing.lengths;
    framing.plain = framing.plain && is_number(value);
    if (framing.plain) framing.length = std::stoull(value);
  } else if (::strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
    ++framing.encodings;
    framing.plain = framing.plain && ::strcasecmp(value, "chunked") == 0;
  } else if (::strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0) {
    ++framing.hosts;
    framing.host = value;
  }
  return MHD_YES;
}

class Server final : public HttpServer {
 public:
  Server(const HttpLimits& limits, HttpHandler handler) : limits_(limits), handler_(std::move(handler)) {}
  ~Server() override { Server::stop(Milliseconds(0)); }

  Result<void> open(const ListenAddress& address) {
    listens_as_ = address.host;
    const int fd = TRY(listen_at(address)).release();
    daemon_ = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr, answer, this,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, std::max(2U, limits_.threads),
        MHD_OPTION_CONNECTION_LIMIT, std::max(limits_.connections, std::max(2U, limits_.threads)),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, limits_.header_bytes + kOwnMemory, MHD_OPTION_CONNECTION_MEMORY_INCREMENT,
        kOwnMemory, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, begin, this,
        MHD_OPTION_NOTIFY_COMPLETED, complete, this, MHD_OPTION_NOTIFY_CONNECTION, connection_changed, this,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped, nullptr, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    if (daemon_ == nullptr) {
      ::close(fd);
      return fail(Code::io, fmt::format("cannot serve {}", url_));
    }
    ticker_ = std::thread([this] { tick(); });
    return {};
  }

  const std::string& url() const override { return url_; }
  bool loopback() const override { return loopback_; }
  unsigned connections() const override { return open_.load(std::memory_order_relaxed); }

  std::vector<std::pair<unsigned, std::uint64_t>> answered() const override {
    std::vector<std::pair<unsigned, std::uint64_t>> counts;
    for (unsigned status = 0; status < kStatusMax; ++status) {
      const std::uint64_t count = answered_[status].load(std::memory_order_relaxed);
      if (count > 0) counts.emplace_back(status, count);
    }
    return counts;
  }

  void wake() override {
    if (waiting_.load(std::memory_order_relaxed) == 0) return;
    {
      const std::lock_guard lock(mutex_);
      woken_ = true;
    }
    wakeup_.notify_one();
  }

  void stop(Milliseconds grace) override {
    if (daemon_ == nullptr) return;
    // Nobody is let in any more. The descriptor is closed at the very end: the library's threads still take it out of
    // what they wait for.
    const Socket listening(MHD_quiesce_daemon(daemon_));
    if (listening.get() >= 0) ::shutdown(listening.get(), SHUT_RDWR);
    const SteadyTime deadline = std::chrono::steady_clock::now() + grace;
    while (under_way_.load() > 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(kTick);
    stopping_.store(true);
    wakeup_.notify_one();
    ticker_.join();
    resume_all();
    MHD_stop_daemon(std::exchange(daemon_, nullptr));
  }

 private:
  class Socket {
   public:
    explicit Socket(int fd) : fd_(fd) {}
    Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    ~Socket() {
      if (fd_ >= 0) ::close(fd_);
    }
    int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }

   private:
    int fd_;
  };

  // ---- Listening ----

  Result<Socket> listen_at(const ListenAddress& address) {
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int failed = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &wanted, &found);
    if (failed != 0) {
      return fail(Code::usage, fmt::format("--listen: \"{}:{}\" is no address of this machine: {}", address.host,
                                           address.port, ::gai_strerror(failed)));
    }
    auto socket = bind_to(*found, address);
    ::freeaddrinfo(found);
    return socket;
  }

  Result<Socket> bind_to(const addrinfo& to, const ListenAddress& address) {
    const std::string what = fmt::format("cannot listen at {}:{}", address.host, address.port);
    Socket socket(::socket(to.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    if (socket.get() < 0 || ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::bind(socket.get(), to.ai_addr, to.ai_addrlen) != 0 || ::listen(socket.get(), kBacklog) != 0) {
      if (errno == EADDRINUSE)
        return fail(Code::busy, fmt::format("{}: somebody else listens there", what),
                    "choose another port with --listen");
      return fail_errno(errno, what);
    }
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> port{};
    if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0 ||
        ::getnameinfo(reinterpret_cast<sockaddr*>(&bound), size, host.data(), host.size(), port.data(), port.size(),
                      NI_NUMERICHOST | NI_NUMERICSERV) != 0)
      return fail_errno(errno, what);
    const std::string_view shown(host.data());
    loopback_ = shown.starts_with("127.") || shown == "::1";
    url_ = shown.find(':') == std::string_view::npos ? fmt::format("http://{}:{}", shown, port.data())
                                                     : fmt::format("http://[{}]:{}", shown, port.data());
    return socket;
  }

  // ---- What libmicrohttpd calls ----

  // The path and the query stay as they were sent.
  static std::size_t keep_escaped(void*, MHD_Connection*, char* text) { return std::strlen(text); }

  static void* begin(void*, const char* target, MHD_Connection*) {
    auto request = std::make_unique<Request>();
    request->target = target;
    return request.release();
  }

  static void connection_changed(void* cls, MHD_Connection* handle, void** context,
                                 MHD_ConnectionNotificationCode code) {
    static_cast<Server*>(cls)->note_connection(handle, context, code);
  }

  void note_connection(MHD_Connection* handle, void** context, MHD_ConnectionNotificationCode code) {
    const std::lock_guard lock(mutex_);
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
      auto* connection = static_cast<Connection*>(*context);
      connections_.erase(connection);
      open_.fetch_sub(1);
      delete connection;
      *context = nullptr;
      return;
    }
    auto connection = std::make_unique<Connection>();
    const MHD_ConnectionInfo* info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
    connection->fd = info == nullptr ? -1 : info->connect_fd;
    connection->deadline_ms = steady_ms() + limits_.header_time.count();
    open_.fetch_add(1);
    connections_.insert(connection.get());
    *context = connection.release();
  }

  static void complete(void* cls, MHD_Connection* handle, void** context, MHD_RequestTerminationCode) {
    auto& server = *static_cast<Server*>(cls);
    const std::unique_ptr<Request> request(static_cast<Request*>(std::exchange(*context, nullptr)));
    if (request && request->begun) server.under_way_.fetch_sub(1);
    if (request) server.answers_bytes_.fetch_sub(request->answer_bytes, std::memory_order_relaxed);
    if (Connection* connection = connection_of(handle))
      connection->deadline_ms = steady_ms() + server.limits_.header_time.count();
  }

  static MHD_Result answer(void* cls, MHD_Connection* handle, const char*, const char* method, const char*,
                           const char* data, std::size_t* data_bytes, void** context) {
    return static_cast<Server*>(cls)->answer(handle, method, data, data_bytes, *static_cast<Request*>(*context));
  }

  // Called when the header is there, for each piece of the body, and when all is there.
  MHD_Result answer(MHD_Connection* handle, const char* method, const char* data, std::size_t* data_bytes,
                    Request& request) {
    if (!request.begun) {
      request.begun = true;
      under_way_.fetch_add(1);
      if (Connection* connection = connection_of(handle))
        connection->deadline_ms = steady_ms() + limits_.body_time.count();
      return check(handle);
    }
    if (*data_bytes > 0) {
      request.too_large |= request.body.size() + *data_bytes > limits_.body_bytes;
      if (!request.too_large) request.body.append(data, *data_bytes);
      // Of a body without an announced length, the rest is not waited for.
      if (request.too_large) return MHD_NO;
      *data_bytes = 0;
      return MHD_YES;
    }
    if (Connection* connection = connection_of(handle)) connection->deadline_ms = 0;
    const auto header = [handle](const char* name) -> std::string_view {
      const char* value = MHD_lookup_connection_value(handle, MHD_HEADER_KIND, name);
      return value == nullptr ? std::string_view() : std::string_view(value);
    };
    auto response = handler_({method, request.target, request.body, header, &request.memory});
    if (!response) return wait(handle);
    hold(request, *response);
    if (Connection* connection = connection_of(handle)) {
      const std::int64_t size = std::ssize(response->body);
      connection->deadline_ms = steady_ms() + limits_.answer_time.count() + size / limits_.answer_bytes_per_ms;
    }
    return queue(handle, *response);
  }

  // Large answers lie in memory until they are taken: counts this one, or refuses it.
  void hold(Request& request, HttpResponse& response) {
    if (response.body.size() <= kLarge) return;
    request.answer_bytes = response.body.size();
    const std::size_t before = answers_bytes_.fetch_add(request.answer_bytes, std::memory_order_relaxed);
    if (before == 0 || before + request.answer_bytes <= limits_.answers_bytes) return;
    answers_bytes_.fetch_sub(std::exchange(request.answer_bytes, 0), std::memory_order_relaxed);
    response = {.status = kBusy,
                .content_type = "text/plain; charset=utf-8",
                .body = "too many large answers are under way\n",
                .headers = {{MHD_HTTP_HEADER_RETRY_AFTER, "1"}}};
  }

  // Refuses what cannot be read in one way only, before any of the body is.
  MHD_Result check(MHD_Connection* handle) {
    Framing framing;
    MHD_get_connection_values(handle, MHD_HEADER_KIND, note_header, &framing);
    if (!framing.plain || framing.lengths + framing.encodings > 1 || framing.hosts > 1)
      return refuse(handle, kBadRequest, "the length of the body, or the host, is not told in one way\n");
    if (framing.length > limits_.body_bytes) return refuse(handle, kTooLarge, "the body is too large\n");
    if (loopback_ && !limits_.any_host && !is_host_of_this_machine(framing.host, listens_as_))
      return refuse(handle, kMisdirected, "this server is for its own machine, which has other names than that\n");
    return MHD_YES;
  }

  MHD_Result refuse(MHD_Connection* handle, unsigned status, std::string why) {
    return queue(handle, {.status = status,
                          .content_type = "text/plain; charset=utf-8",
                          .body = std::move(why),
                          .headers = {{MHD_HTTP_HEADER_CONNECTION, "close"}}});
  }

  MHD_Result queue(MHD_Connection* handle, const HttpResponse& response) {
    // The library copies it; the cast only drops the const that its interface has not.
    MHD_Response* made = MHD_create_response_from_buffer(response.body.size(), const_cast<char*>(response.body.data()),
                                                         MHD_RESPMEM_MUST_COPY);
    if (made == nullptr) return MHD_NO;
    if (!response.content_type.empty())
      MHD_add_response_header(made, MHD_HTTP_HEADER_CONTENT_TYPE, response.content_type.c_str());
    for (const auto& [name, value] : response.headers) MHD_add_response_header(made, name.c_str(), value.c_str());
    const MHD_Result queued = MHD_queue_response(handle, response.status, made);
    MHD_destroy_response(made);
    if (response.status < kStatusMax) answered_[response.status].fetch_add(1, std::memory_order_relaxed);
    return queued;
  }

  // ---- Waiting ----

  MHD_Result wait(MHD_Connection* handle) {
    const std::lock_guard lock(mutex_);
    MHD_suspend_connection(handle);
    suspended_.insert(handle);
    waiting_.store(suspended_.size(), std::memory_order_relaxed);
    wakeup_.notify_one();
    return MHD_YES;
  }

  void resume_all() {
    const std::lock_guard lock(mutex_);
    for (MHD_Connection* handle : suspended_) MHD_resume_connection(handle);
    suspended_.clear();
    waiting_.store(0, std::memory_order_relaxed);
  }

  // Closes the connections that take too long. The library takes note, and cleans up.
  void sweep() {
    const std::lock_guard lock(mutex_);
    const std::int64_t now = steady_ms();
    for (const Connection* connection : connections_) {
      const std::int64_t deadline = connection->deadline_ms.load();
      if (deadline != 0 && now > deadline) ::shutdown(connection->fd, SHUT_RDWR);
    }
  }

  void tick() {
    SteadyTime swept_at{};
    while (!stopping_.load()) {
      {
        std::unique_lock lock(mutex_);
        const std::size_t before = suspended_.size();
        wakeup_.wait_for(lock, before > 0 ? kTick : kSweep,
                         [&] { return woken_ || stopping_.load() || (before == 0 && !suspended_.empty()); });
        woken_ = false;
        if (before == 0 && !suspended_.empty()) continue;
      }
      if (waiting_.load(std::memory_order_relaxed) > 0) resume_all();
      const SteadyTime now = std::chrono::steady_clock::now();
      if (now - swept_at < kSweep) continue;
      swept_at = now;
      sweep();
    }
  }

  HttpLimits limits_;
  HttpHandler handler_;
  MHD_Daemon* daemon_ = nullptr;
  std::string url_;
  bool loopback_ = false;
  std::string listens_as_;
  std::atomic<unsigned> open_ = 0;
  std::atomic<int> under_way_ = 0;
  std::atomic<std::size_t> answers_bytes_ = 0;
  std::array<std::atomic<std::uint64_t>, kStatusMax> answered_{};

  std::mutex mutex_;  // of the sets, and of woken_
  std::condition_variable wakeup_;
  std::set<Connection*> connections_;
  std::set<MHD_Connection*> suspended_;
  std::atomic<std::size_t> waiting_ = 0;
  bool woken_ = false;
  std::atomic<bool> stopping_ = false;
  std::thread ticker_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(const ListenAddress& address, const HttpLimits& limits,
                                                      HttpHandler handler) {
  auto server = std::make_unique<Server>(limits, std::move(handler));
  TRY(server->open(address));
  return server;
}

}  // namespace leat::tools
