// What the parts of the Kafka backend share: how to make a librdkafka handle, how to ask a cluster, and what its errors
// are called here. Internal: included by kafka_*.cc only.
#pragma once

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/backend/backend.h"
#include "leat/backend/kafka.h"

namespace leat::kafka {

// One cluster as it was asked for.
struct Config {
  std::string servers;
  KafkaProperties properties;
  std::function<void(std::string_view)> log;
  Milliseconds timeout{};  // how long the cluster may take to answer
};

template <auto destroy>
struct Destroy {
  template <class T>
  void operator()(T* object) const {
    destroy(object);
  }
};
using PartitionList = std::unique_ptr<rd_kafka_topic_partition_list_t, Destroy<rd_kafka_topic_partition_list_destroy>>;
using TopicHandle = std::unique_ptr<rd_kafka_topic_t, Destroy<rd_kafka_topic_destroy>>;
using QueueHandle = std::unique_ptr<rd_kafka_queue_t, Destroy<rd_kafka_queue_destroy>>;
using Message = std::unique_ptr<rd_kafka_message_t, Destroy<rd_kafka_message_destroy>>;
using EventHandle = std::unique_ptr<rd_kafka_event_t, Destroy<rd_kafka_event_destroy>>;
using ErrorHandle = std::unique_ptr<rd_kafka_error_t, Destroy<rd_kafka_error_destroy>>;

inline PartitionList make_list(std::size_t size) {
  return PartitionList(rd_kafka_topic_partition_list_new(static_cast<int>(size)));
}
inline std::span<rd_kafka_topic_partition_t> elements(const rd_kafka_topic_partition_list_t* list) {
  return {list->elems, static_cast<std::size_t>(list->cnt)};
}

// What librdkafka calls back, always from a call of the handle's own thread.
struct Hooks {
  std::function<void(const rd_kafka_message_t&)> delivered = {};
  std::function<void(rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t*)> rebalance = {};
};

// Topics and how many partitions each has.
using Topics = std::map<std::string, std::int32_t, std::less<>>;

// A broker, as the others tell where it is.
struct Broker {
  std::int32_t id;
  std::string address;  // HOST:PORT
};

// What one broker says of the cluster.
struct View {
  std::int32_t from;  // its id, or -1 where it is the one that was named at opening and its id is not known yet
  std::vector<Broker> brokers;
  Topics topics;
};

// A place to ask for the offset of: milliseconds since 1970, or one of these.
inline constexpr std::int64_t kAtEnd = -1;
inline constexpr std::int64_t kAtStart = -2;
struct OffsetQuery {
  std::string topic;
  PartitionId partition{};
  std::int64_t time = kAtEnd;
};

// A librdkafka client. Its methods may be called by several threads.
class Handle {
 public:
  // `ours` are properties that the user must not change, `defaults` such that the user may. Errors: configuration.
  static Result<std::unique_ptr<Handle>> open(const Config& config, rd_kafka_type_t type, const KafkaProperties& ours,
                                              const KafkaProperties& defaults = {}, Hooks hooks = {});
  ~Handle();
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  // Ends a member of a group. Before librdkafka 2.3, destroying one that was never its group's leader aborts the
  // process (its issue 4312), and destroying one that could not be closed waits for ever: such a client is left to the
  // end of the process instead.
  static void retire_member(std::unique_ptr<Handle> member);

  rd_kafka_t* get() const { return rk_; }
  const Config& config() const { return config_; }
  SteadyTime deadline() const { return std::chrono::steady_clock::now() + config_.timeout; }

  // The Error for a code of librdkafka: of what went wrong lately, the reason that says most. `what` was attempted.
  Error error(rd_kafka_resp_err_t code, std::string_view what, std::string_view detail = {}) const;
  // No answer at all.
  Error unreachable() const;

  // What the cluster calls itself. Errors: unavailable.
  Result<std::string> cluster_id();
  // What some broker says. Errors: unavailable, permission.
  Result<View> view();
  // All topics of the cluster, without creating any. Errors: those of view().
  Result<Topics> topics();
  // A broker that view() has heard of, the one that answered where that is known, for what any of them can answer; -1
  // before.
  std::int32_t some_broker() const { return some_broker_.load(std::memory_order_relaxed); }
  // How many partitions a topic has. Errors: not_found (suggesting the nearest name), and those of topics().
  Result<std::int32_t> partition_count(std::string_view topic);
  // The offset of each query, in their order: of the first record of that time or later, or nothing when there is none.
  // Ends are those that this handle's isolation level shows.
  Result<std::vector<std::optional<Offset>>> offsets(std::span<const OffsetQuery> queries);

 private:
  explicit Handle(Config config, Hooks hooks) : config_(std::move(config)), hooks_(std::move(hooks)) {}
  static Handle* of(void* opaque) { return static_cast<Handle*>(opaque); }
  void install_callbacks(rd_kafka_conf_t* conf, rd_kafka_type_t type);
  void note_trouble(rd_kafka_resp_err_t code, std::string reason);
  // Whether asking again cannot help: the cluster does not let us in.
  bool locked_out() const;
  Result<void> attempt(std::string_view what, const std::function<rd_kafka_resp_err_t(int timeout_ms)>& request);

  Config config_;
  Hooks hooks_;
  rd_kafka_t* rk_ = nullptr;
  std::atomic<std::int32_t> some_broker_ = -1;
  mutable std::mutex mutex_;
  rd_kafka_resp_err_t trouble_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  std::string reason_;
};

// Whether a change has come through to one broker: `client` talks to it alone, and `topics` is what it knows.
using Settled = std::function<Result<bool>(Handle& client, std::int32_t broker, const Topics& topics)>;

// Asks all brokers that can be reached, each by itself, until it is settled there: which one a client asks next is
// chance. Errors: those of `settled`, and unavailable, naming the broker that has not heard of `change` within the
// timeout.
Result<void> ask_all_brokers(Handle& handle, std::string_view change, const Settled& settled);

// Error for a topic that is not there.
Error unknown_topic(std::string_view name, const Topics& known);
Result<std::int32_t> partition_count(const Topics& topics, std::string_view name);
// Errors: not_found.
Result<void> check_partition(std::string_view topic, PartitionId partition, std::int32_t count);

// The Code that a librdkafka error is here.
Code code_of(rd_kafka_resp_err_t error);
// A later producer has taken over the transactional id.
bool is_fenced(rd_kafka_resp_err_t error);

// ---- The administrator's side: kafka_admin.cc ----

// Runs one administrative request on its own queue. `start` is given the options, an operation's timeouts set, and the
// queue the answer comes to. Errors: those of the request.
Result<EventHandle> request(Handle& handle, rd_kafka_admin_op_t operation, std::string_view what,
                            const std::function<void(rd_kafka_AdminOptions_t*, rd_kafka_queue_t*)>& start,
                            bool validate_only = false);

// A topic's settings as the cluster has them, where it tells. Errors: permission, unavailable.
Result<TopicSettings> topic_settings(Handle& handle, std::string_view topic, std::int32_t partitions);
Result<void> create_topic(Handle& handle, std::string_view name, const TopicSettings& settings, bool validate_only);
Result<void> delete_topic(Handle& handle, std::string_view name);
Result<void> add_partitions(Handle& handle, std::string_view name, std::int32_t count);
Result<TopicSettings> set_topic(Handle& handle, std::string_view name,
                                const std::function<Result<void>(TopicSettings&)>& change);
Result<std::vector<TrimResult>> trim_topic(Handle& handle, std::string_view name, TrimTarget target,
                                           std::span<const PartitionId> partitions, bool execute);
Result<std::vector<PartitionInfo>> describe_partitions(Handle& handle, std::string_view topic);

// ---- The position of a copy: kafka_copy_position.cc ----

struct CopyPosition {
  CopyProgress progress;
  std::optional<Offset> last = {};  // here, of the last record copied, where that is known
};
using CopyPositions = std::vector<std::optional<CopyPosition>>;  // by partition; nullopt where nothing was copied
// What `group` has stored on the topic, when no transaction of it is being ended any more. Errors: unavailable.
Result<CopyPositions> copy_positions(const Config& config, const std::string& group, const std::string& topic,
                                     std::int32_t partitions);
// Adds to what is to be stored. Precondition: `last` and the hash are known.
void add_position(rd_kafka_topic_partition_list_t* list, const std::string& topic, PartitionId partition,
                  const CopyPosition& position);

// ---- Counting records: kafka_count_back.cc ----

// The offset of a partition's first record.
Result<Offset> start_of(Handle& handle, const std::string& topic, PartitionId partition);

struct CountedRecord {
  Offset offset;
  std::uint64_t hash;  // hash_of_record()
};
// The n-th committed record before `end`, counting backwards; nullopt when there are not so many. Reads what lies
// behind it, twice. Precondition: n > 0.
Result<std::optional<CountedRecord>> nth_back(const Config& config, Handle& handle, const std::string& topic,
                                              PartitionId partition, Offset end, std::int64_t n);

// ---- Settings as text: kafka_settings.cc, pure ----

// What a topic's settings are called in Kafka. Errors: usage, for what Kafka has no equal to.
Result<KafkaProperties> to_kafka(const TopicSettings& settings);
// Those that Kafka has an equal to, within its limits.
TopicSettings applicable(const TopicSettings& settings);
// The reverse; what Kafka has besides is left out.
TopicSettings from_kafka(const std::map<std::string, std::string, std::less<>>& configs, std::int32_t partitions);

// ---- Offsets of consumers: kafka_offsets.cc ----

Result<ConsumerOffsets> consumer_offsets(Handle& handle, bool with_lag);
Result<ConsumerDescription> describe_consumer(Handle& handle, std::string_view consumer);
Result<std::vector<SeekResult>> seek_consumer(Handle& handle, std::string_view consumer,
                                              std::span<const SeekRequest> requests, bool create, bool execute);
Result<std::vector<DeletedOffset>> delete_consumer(Handle& handle, std::string_view consumer,
                                                   std::optional<std::string_view> topic,
                                                   std::span<const PartitionId> partitions, bool execute);

// Whether the group's coordinator is sharing out anew; no where it cannot be asked.
bool is_rebalancing(Handle& handle, std::string_view consumer);

// How a member of a group calls itself, and that read again.
std::string member_name(const std::string& description);
GroupMember parse_member(std::string_view client_id, std::string_view host);

// ---- Producers and readers ----

// message.max.bytes for records of up to so many bytes.
std::string message_bytes_max(std::int64_t record_bytes_max);
// Errors: bad_data, for what cannot go to that topic of a cluster.
Result<void> check_sendable(const RecordInput& record, const TopicSettings& settings, std::string_view topic);
// Hands a copy of the record to librdkafka; while its queue is full, waits. `opaque` comes back with the report.
// Errors: bad_data (too large), io.
Result<void> enqueue(Handle& handle, rd_kafka_topic_t* topic_handle, std::string_view topic, const RecordInput& record,
                     PartitionId partition, void* opaque);

Result<std::unique_ptr<Producer>> open_producer(const Config& config, Handle& admin, std::string_view topic,
                                                const ProducerOptions& options);
Result<std::unique_ptr<CopyWriter>> open_copy(const Config& config, Handle& admin, std::string_view topic,
                                              const CopySource& source);
Result<std::unique_ptr<Reader>> open_reader(const Config& config, const ReadOptions& options);
Result<std::unique_ptr<GroupReader>> join_group(const Config& config, std::string_view consumer,
                                                const GroupOptions& options);

}  // namespace leat::kafka
