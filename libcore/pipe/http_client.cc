#include "leat/pipe/http_client.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <new>

#include "leat/base/ascii.h"
#include "leat/pipe/http_target.h"

namespace leat::pipe {
namespace {

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

// Takes a part of the answer. An exception must not pass through libcurl; fewer bytes than given end the request.
std::size_t take_body(const char* bytes, std::size_t, std::size_t count, void* body) {
  auto& kept = *static_cast<std::string*>(body);
  try {
    kept.append(bytes, std::min(count, kHttpAnswerBytesMax - kept.size()));
  } catch (const std::bad_alloc&) {
    return 0;
  }
  return count;
}

// A socket that no child process inherits: a stage's program must not hold our connection open.
curl_socket_t open_socket(void*, curlsocktype, curl_sockaddr* address) {
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

bool add_line(HeaderList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) return false;
  static_cast<void>(list.release());
  list.reset(longer);
  return true;
}

// Adds "name: value". libcurl takes a header without a value only with a semicolon behind its name.
bool add_header(HeaderList& list, const std::string& name, const std::string& value) {
  return add_line(list, value.empty() ? name + ";" : fmt::format("{}: {}", name, value));
}

// Whether sending the same request again may end in another way.
Code code_of(CURLcode code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_BAD_CONTENT_ENCODING:
      return Code::configuration;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_WRITE_ERROR:
      return Code::io;
    case CURLE_FAILED_INIT:
    case CURLE_NOT_BUILT_IN:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_UNKNOWN_OPTION:
      return Code::internal;
    default:
      return Code::unavailable;
  }
}

}  // namespace

struct HttpClient::Handles {
  HttpClientOptions options;
  // Holds the kept connection; goes after the request that it drives.
  std::unique_ptr<CURLM, FreeMulti> multi;
  std::unique_ptr<CURL, FreeEasy> easy;
  std::array<char, CURL_ERROR_SIZE> reason{};
  std::string body;

  bool set_up();
  bool set_request(const HttpRequest& request, const HeaderList& headers);
  Result<CURLcode> drive(const std::atomic<bool>& stop);
  Result<HttpAnswer> answer();
  std::string reason_of(CURLcode code) const;
};

namespace {

// Sets one option, and forgets nothing that went wrong.
class Setter {
 public:
  explicit Setter(CURL* easy) : easy_(easy) {}

  template <class Value>
  Setter& operator()(CURLoption option, Value value) {
    good_ &= curl_easy_setopt(easy_, option, value) == CURLE_OK;
    return *this;
  }
  bool good() const { return good_; }

 private:
  CURL* easy_;
  bool good_ = true;
};

}  // namespace

// What is the same for every request.
bool HttpClient::Handles::set_up() {
  Setter set(easy.get());
  set(CURLOPT_PROTOCOLS_STR, "http,https")(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_PROXY, "")(CURLOPT_NOPROXY, "*")(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  // A request is answered before the next is sent: HTTP/2 has nothing to give here.
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_SSL_VERIFYPEER, 1L)(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options.ca_file.empty()) set(CURLOPT_CAINFO, options.ca_file.c_str());
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout.count()));
  set(CURLOPT_NOSIGNAL, 1L)(CURLOPT_QUICK_EXIT, 1L)(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
  set(CURLOPT_OPENSOCKETFUNCTION, open_socket)(CURLOPT_WRITEFUNCTION, take_body)(CURLOPT_WRITEDATA, &body);
  set(CURLOPT_ERRORBUFFER, reason.data())(CURLOPT_USERAGENT, "leat");
  return set.good();
}

bool HttpClient::Handles::set_request(const HttpRequest& request, const HeaderList& headers) {
  Setter set(easy.get());
  if (request.method == "GET") {
    set(CURLOPT_HTTPGET, 1L);
  } else {
    set(CURLOPT_POST, 1L)(CURLOPT_POSTFIELDS, request.body.data() == nullptr ? "" : request.body.data());
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }
  set(CURLOPT_CUSTOMREQUEST, request.method.c_str())(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_HTTPHEADER, headers.get());
  set(CURLOPT_FRESH_CONNECT, request.alone ? 1L : 0L)(CURLOPT_FORBID_REUSE, request.alone ? 1L : 0L);
  return set.good();
}

std::string HttpClient::Handles::reason_of(CURLcode code) const {
  std::string_view text = reason[0] == '\0' ? curl_easy_strerror(code) : reason.data();
  while (text.ends_with('\n') || text.ends_with('.')) text.remove_suffix(1);
  return std::string(text);
}

// Waits for the end of the request that is under way; it is left when a stop is asked for.
Result<CURLcode> HttpClient::Handles::drive(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
    int running = 0;
    CURLMcode result = curl_multi_perform(multi.get(), &running);
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left))
      if (message->msg == CURLMSG_DONE) return message->data.result;
    if (result == CURLM_OK)
      result = curl_multi_poll(multi.get(), nullptr, 0, static_cast<int>(kHttpStopLatency.count()), nullptr);
    if (result != CURLM_OK) return fail(Code::io, fmt::format("libcurl: {}", curl_multi_strerror(result)));
  }
  return fail(Code::interrupted, "stopped");
}

Result<HttpAnswer> HttpClient::Handles::answer() {
  HttpAnswer answer;
  long status = 0;
  curl_off_t seconds = 0;
  if (curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status == 0)
    return fail(Code::unavailable, "an answer without a status");
  answer.status = static_cast<int>(status);
  for (curl_header* header = nullptr; (header = curl_easy_nextheader(easy.get(), CURLH_HEADER, -1, header)) != nullptr;)
    answer.headers.emplace_back(header->name, header->value);
  if (curl_easy_getinfo(easy.get(), CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0)
    answer.retry_after = std::chrono::seconds(std::min<curl_off_t>(seconds, 1'000'000));
  answer.body = std::move(body);
  return answer;
}

HttpClient::HttpClient(std::unique_ptr<Handles> handles) : handles_(std::move(handles)) {}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

Result<HttpClient> HttpClient::make(HttpClientOptions options) {
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  auto handles = std::make_unique<Handles>();
  handles->options = std::move(options);
  handles->easy.reset(curl_easy_init());
  handles->multi.reset(curl_multi_init());
  if (global != CURLE_OK || !handles->easy || !handles->multi || !handles->set_up())
    return fail(Code::internal, "libcurl cannot be set up");
  return HttpClient(std::move(handles));
}

Result<HttpAnswer> HttpClient::send(const HttpRequest& request, const std::atomic<bool>& stop) {
  Handles& handles = *handles_;
  HeaderList headers;
  // What libcurl would add by itself: with the first it waits a second for permission to send a large body.
  bool complete = add_line(headers, "Expect:") && add_line(headers, "Accept:") && add_line(headers, "Content-Type:");
  if (request.alone) complete = complete && add_line(headers, "Connection: close");
  for (const auto& [name, value] : request.headers) complete = complete && add_header(headers, name, value);
  handles.body.clear();
  handles.reason[0] = '\0';
  if (!complete || !handles.set_request(request, headers)) return fail(Code::io, "libcurl is out of memory");
  if (curl_multi_add_handle(handles.multi.get(), handles.easy.get()) != CURLM_OK)
    return fail(Code::internal, "libcurl takes no request");
  const Result<CURLcode> ended = handles.drive(stop);
  // A request that has not ended goes with its connection.
  curl_multi_remove_handle(handles.multi.get(), handles.easy.get());
  const CURLcode code = TRY(ended);
  if (code == CURLE_OK) return handles.answer();
  return fail(code_of(code), fmt::format("{}: {}", shown_url(request.url), handles.reason_of(code)));
}

std::string_view HttpAnswer::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (equal_ignoring_case(key, name)) return value;
  return {};
}

std::string basic_credentials(std::string_view user, std::string_view password) {
  const std::string plain = fmt::format("{}:{}", user, password);
  std::string coded(sodium_base64_ENCODED_LEN(plain.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(coded.data(), coded.size(), reinterpret_cast<const unsigned char*>(plain.data()), plain.size(),
                    sodium_base64_VARIANT_ORIGINAL);
  coded.pop_back();  // the NUL
  return "Basic " + coded;
}

}  // namespace leat::pipe
