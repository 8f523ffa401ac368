// A member of a consumer group of a cluster. Two clients: one is the member, to whom the group's coordinator gives
// partitions and who commits; the other reads them, as for a reader without a group. The member never fetches: what it
// is given is paused there. Both are driven by next() alone, but for the heartbeats, which librdkafka sends by itself.
//
// Partitions that a member names are read without asking anybody: Kafka knows no claim on them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <thread>

#include "leat/backend/kafka_lost.h"
#include "leat/backend/kafka_reader.h"
#include "leat/backend/local.h"
#include "leat/backend/member_reader.h"
#include "leat/log/topic_settings.h"

namespace leat::kafka {

namespace {

// The member's side is looked at this often while nothing is read.
constexpr Milliseconds kMemberLook(50);
constexpr Milliseconds kEndLook(10);
// A member that was given nothing may be given something by the rebalance that follows: that has come by then.
constexpr Milliseconds kSettleTime(4000);
// How often the coordinator is asked whether one is under way.
constexpr Milliseconds kAskAgain(500);

// A topic of the group.
struct Subscription {
  std::string topic;
  bool shared;                                    // with other members; else the partitions were named
  std::int32_t partitions_at_join = 0;            // those behind were added while reading
  std::vector<std::optional<Offset>> noted = {};  // the ends noted at joining, when not following
};

// A partition this member reads.
struct Held {
  Subscription* of;
  Cursor* cursor;
  std::optional<Offset> stored = {};  // as this member knows it

  Position position() const { return {of->topic, cursor->id, cursor->next}; }
};

class KafkaGroupReader final : public MemberReader {
 public:
  KafkaGroupReader(Config config, std::string consumer, const GroupOptions& options)
      : MemberReader(std::move(consumer), options), config_(std::move(config)) {}

  ~KafkaGroupReader() override {
    if (!left_) (void)leave_group(in_hand_, false);
    reader_.reset();
    if (subscribed_) Handle::retire_member(std::move(member_));
  }

  Result<void> open() {
    reader_ = TRY(KafkaReader::open_topics(config_, options_.read));
    for (std::size_t i = 0; i < options_.read.topics.size(); ++i) {
      const auto& topic = reader_->topics()[i];
      subscriptions_.push_back({topic.name, claims_ && options_.read.topics[i].partitions.empty(), topic.partitions});
    }
    TRY(open_member());
    TRY(note_ends());
    TRY(take_named());
    if (std::ranges::any_of(subscriptions_, &Subscription::shared)) TRY(subscribe());
    joined_ = true;
    return {};
  }

  Result<Fetch> next(Milliseconds wait) override {
    ASSERT(!left_);
    in_hand_.reset();
    const SteadyTime deadline = std::chrono::steady_clock::now() + wait;
    for (;;) {
      TRY(look_at_member(Milliseconds(0)));
      const SteadyTime now = std::chrono::steady_clock::now();
      TRY(commit_if_due(now));
      const Fetch fetch = TRY(reader_->look());
      if (fetch.state == Fetch::State::stopped) return fetch;
      if (fetch.state == Fetch::State::records) {
        note_in_hand(fetch);
        return fetch;
      }
      if (fetch.state == Fetch::State::ended && settled(now)) return fetch;
      note_idle(now);
      Milliseconds left = std::chrono::ceil<Milliseconds>(deadline - now);
      if (left.count() <= 0) {
        if (TRY(reader_->at_ends())) return Fetch{.state = Fetch::State::caught_up};
        left = kEndLook;
      }
      left = std::min(left, kMemberLook);
      if (fetch.state == Fetch::State::ended || held_.empty()) {
        TRY(look_at_member(left));
      } else {
        reader_->wait(left);
      }
    }
  }

  Result<void> tend() override {
    ASSERT(!left_ && !automatic_);
    reader_->forgive_silence();
    return look_at_member(Milliseconds(0));
  }

  std::vector<std::string> take_notices() override {
    std::vector<std::string> notices = reader_->take_notices();
    notices.insert(notices.end(), notices_.begin(), notices_.end());
    notices_.clear();
    return notices;
  }

  Result<void> commit(std::span<const Position> positions) override {
    TRY(check_strategy());
    const PartitionList list = make_list(positions.size());
    std::vector<Held*> touched;
    for (const Position& position : positions) {
      Held* const held = find(position.topic, position.partition);
      if (held == nullptr) return not_ours(position);
      TRY(check_end(*held, position.next));
      rd_kafka_topic_partition_list_add(list.get(), held->of->topic.c_str(), position.partition.value)->offset =
          position.next.value;
      touched.push_back(held);
    }
    if (positions.empty()) return {};
    const bool stored = !losing_ && TRY(store(list.get()));
    for (std::size_t i = 0; i < touched.size(); ++i) {
      const auto& [topic, partition, next] = positions[i];
      if (stored) {
        touched[i]->stored = next;
        lost_.forget(topic, partition);
      } else {
        lost_.remember(topic, partition, touched[i]->stored, next);
      }
    }
    return {};
  }

  Result<void> leave() override {
    if (left_) return {};
    return leave_group(std::nullopt, true);
  }

 private:
  // ---- Joining ----

  Result<void> open_member() {
    const KafkaProperties ours = {{"group.id", consumer_},
                                  {"enable.auto.commit", "false"},
                                  {"enable.auto.offset.store", "false"},
                                  {"partition.assignment.strategy", "cooperative-sticky"},
                                  {"auto.offset.reset", "latest"}};
    // A member that dies is missed after ten seconds; brokers allow six and more.
    const KafkaProperties defaults = {{"client.id", member_name(options_.description)},
                                      {"session.timeout.ms", "10000"},
                                      {"heartbeat.interval.ms", "1000"},
                                      {"topic.metadata.refresh.interval.ms", "5000"}};
    member_ = TRY(Handle::open(config_, RD_KAFKA_CONSUMER, ours, defaults,
                               {.rebalance = [this](rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list) {
                                 rebalance(code, list);
                               }}));
    rd_kafka_poll_set_consumer(member_->get());
    return {};
  }

  // What is taken over later ends where all of the topic ended when this member joined.
  Result<void> note_ends() {
    if (options_.read.follow) return {};
    for (Subscription& sub : subscriptions_) {
      std::vector<OffsetQuery> queries;
      for (PartitionId p{0}; p.value < sub.partitions_at_join; p += 1) queries.push_back({sub.topic, p, kAtEnd});
      sub.noted = TRY(reader_->handle().offsets(queries));
    }
    return {};
  }

  // Everything this member named, or all there is where it claims nothing.
  Result<void> take_named() {
    std::vector<Place> places;
    for (std::size_t i = 0; i < subscriptions_.size(); ++i) {
      Subscription& sub = subscriptions_[i];
      if (sub.shared) continue;
      for (const PartitionId id : partitions_or_all(options_.read.topics[i].partitions, sub.partitions_at_join))
        places.push_back({&sub, id});
    }
    return hold(places);
  }

  Result<void> subscribe() {
    const PartitionList list = make_list(subscriptions_.size());
    for (const Subscription& sub : subscriptions_)
      if (sub.shared) rd_kafka_topic_partition_list_add(list.get(), sub.topic.c_str(), RD_KAFKA_PARTITION_UA);
    subscribed_ = true;
    const rd_kafka_resp_err_t code = rd_kafka_subscribe(member_->get(), list.get());
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return std::unexpected(member_->error(code, "join"));
    const SteadyTime deadline = member_->deadline() + kSettleTime;
    while (!assigned_at_) {
      TRY(look_at_member(kMemberLook));
      if (options_.read.stop != nullptr && options_.read.stop->load(std::memory_order_relaxed)) return {};
      if (std::chrono::steady_clock::now() < deadline) continue;
      if (!member_error_) return std::unexpected(member_->unreachable());
      return std::unexpected(*member_error_);
    }
    return {};
  }

  // ---- Sharing out ----

  struct Place {
    Subscription* of;
    PartitionId id;
  };

  // Lets the member take part: partitions come and go here.
  Result<void> look_at_member(Milliseconds wait) {
    if (release_error_) return std::unexpected(*release_error_);
    int wait_ms = static_cast<int>(wait.count());
    while (rd_kafka_message_t* raw = rd_kafka_consumer_poll(member_->get(), std::exchange(wait_ms, 0))) {
      const Message message(raw);
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
      Error error = member_->error(message->err, fmt::format("consumer \"{}\"", consumer_),
                                   rd_kafka_message_errstr(message.get()));
      if (error.code == Code::permission || error.code == Code::configuration) return std::unexpected(std::move(error));
      member_error_ = std::move(error);
    }
    if (release_error_) return std::unexpected(*release_error_);
    TRY(hand_over());
    TRY(hold(std::exchange(given_, {})));
    if (std::exchange(shared_out_, false) && !has_lost()) give_up_lost();
    return {};
  }

  // Called inside rd_kafka_consumer_poll().
  void rebalance(rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list) {
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
      // Paused, it fetches nothing wherever it stands.
      for (rd_kafka_topic_partition_t& one : elements(list)) one.offset = RD_KAFKA_OFFSET_END;
      note_refusal(rd_kafka_incremental_assign(member_->get(), list));
      rd_kafka_pause_partitions(member_->get(), list);
      for (const rd_kafka_topic_partition_t& one : elements(list))
        if (Subscription* sub = subscription(one.topic)) given_.push_back({sub, {one.partition}});
      assigned_at_ = std::chrono::steady_clock::now();
      shared_out_ = true;
      waiting_said_ = waiting_said_ && list->cnt == 0;
      return;
    }
    if (!closing_ && code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) return give_up(list);
    note_refusal(rd_kafka_incremental_unassign(member_->get(), list));
  }

  // The member is to let go of these: hand_over() does, when what was handed out of them is done with. Until then it
  // does not take part in sharing out anew, but it stays a member, and the others go on with what they have.
  void give_up(const rd_kafka_topic_partition_list_t* list) {
    if (!revoked_) revoked_ = make_list(static_cast<std::size_t>(list->cnt));
    for (const rd_kafka_topic_partition_t& one : elements(list)) {
      rd_kafka_topic_partition_list_add(revoked_.get(), one.topic, one.partition);
      std::erase_if(
          given_, [&](const Place& place) { return place.of->topic == one.topic && place.id.value == one.partition; });
      if (const Held* held = find(one.topic, {one.partition})) reader_->pause(*held->cursor);
    }
  }

  void note_refusal(rd_kafka_error_t* raw) {
    const ErrorHandle error(raw);
    if (error)
      member_error_ = member_->error(rd_kafka_error_code(error.get()), "join", rd_kafka_error_string(error.get()));
  }

  // Hands what is to go to other members, all of it together, when what was handed out of it is done with.
  Result<void> hand_over() {
    if (!revoked_) return {};
    losing_ = has_lost();
    auto released = release(revoked_.get());
    losing_ = false;
    if (released && !*released) return {};
    const PartitionList list = std::move(revoked_);
    if (!released) {
      // They stay this member's until it goes.
      release_error_ = released.error();
      kept_.reset(rd_kafka_topic_partition_list_copy(list.get()));
      return std::unexpected(std::move(released).error());
    }
    note_refusal(rd_kafka_incremental_unassign(member_->get(), list.get()));
    assigned_at_ = std::chrono::steady_clock::now();
    return {};
  }

  // Whether all of them are done with, and read no more.
  Result<bool> release(const rd_kafka_topic_partition_list_t* list) {
    std::vector<Position> positions;
    for (const rd_kafka_topic_partition_t& one : elements(list))
      if (const Held* held = find(one.topic, {one.partition})) positions.push_back(held->position());
    if (positions.empty()) return true;
    if (TRY(finish(positions)).size() < positions.size()) return false;
    for (const Position& position : positions) {
      const auto held = std::ranges::find_if(held_, [&](const Held& one) {
        return one.of->topic == position.topic && one.cursor->id == position.partition;
      });
      if (losing_) lost_.lose(position.topic, position.partition, held->stored);
      note_given_up(position);
      reader_->remove(*held->cursor);
      held_.erase(held);
    }
    return true;
  }

  // Whether there is nothing more to wait for but records: a member without a partition may be given one by the
  // rebalance that is under way.
  bool settled(SteadyTime now) {
    if (revoked_) return false;
    if (!held_.empty() || !assigned_at_) return true;
    if (now - std::max(*assigned_at_, asked_at_) < (asked_at_ == SteadyTime{} ? kSettleTime : kAskAgain)) return false;
    asked_at_ = now;
    return !is_rebalancing(reader_->handle(), consumer_);
  }

  void note_idle(SteadyTime now) {
    if (!held_.empty() || waiting_said_ || !assigned_at_ || now - *assigned_at_ < kSettleTime / 4) return;
    waiting_said_ = true;
    for (const Subscription& sub : subscriptions_) note_waiting(sub.topic, sub.partitions_at_join);
  }

  // ---- Reading ----

  // Reads partitions that were given, from where the group has got to.
  Result<void> hold(const std::vector<Place>& places) {
    if (places.empty()) return {};
    const auto stored = TRY(stored_offsets(places));
    std::vector<KafkaReader::Add> more;
    for (std::size_t i = 0; i < places.size(); ++i) {
      const auto& [sub, id] = places[i];
      KafkaReader::Add how{.topic = sub->topic, .partition = id, .is_new = id.value >= sub->partitions_at_join};
      if (const auto number = static_cast<std::size_t>(id.value); number < sub->noted.size())
        how.stop = sub->noted[number];
      how.stored = stored[i];
      if (const auto named = start_named(options_.read, sub->topic, id)) how.stored = named;
      if (const auto regained = lost_.regain(sub->topic, id, stored[i], options_.reset)) how.stored = regained;
      more.push_back(std::move(how));
    }
    const auto cursors = TRY(reader_->add(more));
    std::vector<Position> starts;
    for (std::size_t i = 0; i < places.size(); ++i) {
      const bool ahead = more[i].stored != stored[i];
      Held& held = held_.emplace_back(Held{places[i].of, cursors[i], stored[i]});
      TRY(check_stored(held));
      if (stored[i]) resumed_.push_back({held.of->topic, held.cursor->id, *stored[i]});
      if (joined_ && held.of->shared) note_taken(held.position());
      if (ahead || stores_start(stored[i].has_value(), more[i].is_new)) starts.push_back(held.position());
    }
    return starts.empty() ? Result<void>{} : commit(starts);
  }

  // ---- Lost and regained: see kafka_lost.h ----

  bool has_lost() const { return subscribed_ && rd_kafka_assignment_lost(member_->get()) != 0; }

  // After a sharing out: what was lost and is not this member's again has been given to others.
  void give_up_lost() {
    const auto is_held = [this](std::string_view topic, PartitionId id) { return find(topic, id) != nullptr; };
    for (const auto& [place, from] : lost_.give_up(is_held)) {
      given_up_ = fmt::format(
          "consumer \"{}\" has lost partition {} of \"{}\", as the group had not heard of it in time: what it read "
          "behind offset {} is read again by others",
          consumer_, place.second.value, place.first, from.value);
      notices_.push_back(given_up_);
    }
  }

  // Joins again and commits what was lost, or says that others have got it: all that counts as done must be stored.
  Result<void> settle_lost() {
    given_up_.clear();
    const SteadyTime deadline = member_->deadline() + kSettleTime;
    while (!lost_.unstored().empty()) {
      if (std::chrono::steady_clock::now() >= deadline) return std::unexpected(member_->unreachable());
      TRY(look_at_member(kMemberLook));
      std::vector<Position> again;
      for (const auto& [place, done] : lost_.unstored())
        if (const Held* held = find(place.first, place.second))
          again.push_back({held->of->topic, held->cursor->id, done});
      TRY(commit(again));
    }
    return given_up_.empty() ? Result<void>{} : fail(Code::busy, given_up_);
  }

  Result<std::vector<std::optional<Offset>>> stored_offsets(const std::vector<Place>& places) {
    std::vector<std::optional<Offset>> stored(places.size());
    if (options_.reset) return stored;
    const PartitionList list = make_list(places.size());
    for (const Place& place : places)
      rd_kafka_topic_partition_list_add(list.get(), place.of->topic.c_str(), place.id.value);
    const auto timeout = static_cast<int>(std::max<std::int64_t>(config_.timeout.count(), 1));
    const rd_kafka_resp_err_t code = rd_kafka_committed(member_->get(), list.get(), timeout);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
      return std::unexpected(member_->error(code, fmt::format("offsets of consumer \"{}\"", consumer_)));
    for (std::size_t i = 0; i < places.size(); ++i)
      if (const std::int64_t offset = elements(list.get())[i].offset; offset >= 0) stored[i] = Offset{offset};
    return stored;
  }

  Result<void> check_stored(const Held& held) const {
    if (!held.stored || *held.stored <= held.cursor->end) return {};
    return fail(
        Code::damaged,
        fmt::format("consumer \"{}\" stands at offset {} of partition {} of \"{}\", but the log ends at {}", consumer_,
                    held.stored->value, held.cursor->id.value, held.of->topic, held.cursor->end.value),
        "consume with --reset to begin anew");
  }

  // ---- Committing ----

  std::vector<Standing> standings() const override {
    std::vector<Standing> standings;
    for (const Held& held : held_) standings.push_back({held.position(), held.stored.value_or(held.cursor->start)});
    return standings;
  }

  Result<void> check_end(const Held& held, Offset next) {
    // What has been handed out lies inside the log; only a position made up by the caller needs a look.
    if (next <= std::max(held.cursor->next, held.cursor->end)) return {};
    const std::array query = {OffsetQuery{held.of->topic, held.cursor->id, kAtEnd}};
    const auto end = TRY(reader_->handle().offsets(query)).front().value_or(Offset{0});
    return next <= end ? Result<void>{} : behind_end({held.of->topic, held.cursor->id, next});
  }

  // No when this is no member any more, or not of the group's present generation: it joins again, see kafka_lost.h.
  Result<bool> store(const rd_kafka_topic_partition_list_t* list) {
    const std::string what = fmt::format("commit of consumer \"{}\"", consumer_);
    const SteadyTime deadline = member_->deadline();
    for (;;) {
      rd_kafka_resp_err_t code = rd_kafka_commit(member_->get(), list, 0);
      for (const auto& one : elements(list))
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = one.err;
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
      const bool outdated = code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION || code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
      if (subscribed_ && (outdated || has_lost())) return false;
      Error error = member_->error(code, what);
      // While a group shares out anew it takes no commits; that passes.
      const bool passes = code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS || error.code == Code::unavailable;
      if (!passes || std::chrono::steady_clock::now() >= deadline) return std::unexpected(std::move(error));
      std::this_thread::sleep_for(kEndLook);
    }
  }

  Result<void> leave_group(const std::optional<Position>& in_hand, bool patient) {
    left_ = true;
    if (!member_ || !reader_) return {};
    Result<void> committed = automatic_ ? commit_done(in_hand) : Result<void>{};
    if (committed && patient) committed = settle_lost();
    closing_ = true;
    for (const PartitionList* list : {&kept_, &revoked_})
      if (*list) note_refusal(rd_kafka_incremental_unassign(member_->get(), list->get()));
    // Closed without a partition, librdkafka leaves without telling, and is missed only when its session is over.
    if (held_.empty() && given_.empty()) rd_kafka_unsubscribe(member_->get());
    close_member();
    return committed;
  }

  // Leaves in order, if librdkafka comes to an end of it within the time that the cluster has for an answer: closing
  // has been seen to wait for ever for a member whose partitions were lost while it was to let go of them. The group
  // then misses it when its session is over.
  void close_member() {
    const QueueHandle queue(rd_kafka_queue_new(member_->get()));
    const ErrorHandle refused(rd_kafka_consumer_close_queue(member_->get(), queue.get()));
    const SteadyTime deadline = member_->deadline();
    while (!refused && rd_kafka_consumer_closed(member_->get()) == 0 && std::chrono::steady_clock::now() < deadline)
      rd_kafka_queue_poll_callback(queue.get(), static_cast<int>(kEndLook.count()));
  }

  // ---- The rest ----

  Subscription* subscription(std::string_view topic) {
    const auto found = std::ranges::find(subscriptions_, topic, &Subscription::topic);
    return found == subscriptions_.end() ? nullptr : &*found;
  }

  Held* find(std::string_view topic, PartitionId partition) {
    const auto held = std::ranges::find_if(
        held_, [&](const Held& one) { return one.cursor->id == partition && one.of->topic == topic; });
    return held == held_.end() ? nullptr : &*held;
  }

  Config config_;
  bool closing_ = false;
  bool subscribed_ = false;
  bool shared_out_ = false;                 // partitions, or none, have been given since the member was looked at
  bool losing_ = false;                     // what is being released is not this member's any more
  bool waiting_said_ = false;               // that there is nothing for it
  std::deque<Subscription> subscriptions_;  // places stay
  std::vector<Held> held_;                  // in the order they were given
  std::vector<Place> given_;                // by the coordinator, not read yet
  LostProgress lost_;
  std::optional<SteadyTime> assigned_at_;  // when partitions were given or taken last
  SteadyTime asked_at_{};                  // when the coordinator was asked last
  std::optional<Error> release_error_;     // of finish()
  std::optional<Error> member_error_;      // why joining takes long
  PartitionList revoked_;                  // partitions that are to be let go of
  PartitionList kept_;                     // partitions that should have been released
  std::string given_up_;                   // the last of what others have got
  std::vector<std::string> notices_;
  std::unique_ptr<Handle> member_;
  std::unique_ptr<KafkaReader> reader_;
};

}  // namespace

Result<std::unique_ptr<GroupReader>> join_group(const Config& config, std::string_view consumer,
                                                const GroupOptions& options) {
  TRY(check_name("consumer", consumer));
  auto reader = std::make_unique<KafkaGroupReader>(config, std::string(consumer), options);
  TRY(reader->open());
  return reader;
}

}  // namespace leat::kafka
