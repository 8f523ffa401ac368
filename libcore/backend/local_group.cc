// A member of a consumer group in a data directory: which partitions it reads changes with the members, where each is
// resumed comes from the group's offsets, and how far it came goes back there.
//
// Members find out about each other by the offsets files alone: a wake word says that somebody came, left or gave up a
// partition, and every few milliseconds the kernel is asked whether the others still live. Each member asks for all of
// them: one that is stopped or waits for its output would be a bad watchman. One alone never asks.
#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "leat/backend/local.h"
#include "leat/backend/local_reader.h"
#include "leat/backend/member_reader.h"

namespace leat {

namespace {

// How often a member asks whether the others live; bounds how long a killed member's partitions lie idle.
constexpr Milliseconds kLookForMembers(10);

// A topic of the group.
struct Subscription {
  Topic* topic;
  std::vector<PartitionId> chosen;                // named by this member; empty: it shares the topic with others
  std::optional<OffsetsFile> file = {};           // absent: nothing stored and nothing claimed (strategy none)
  std::int32_t known_partitions = 0;              // how many the topic had when last looked
  std::int32_t partitions_at_join = 0;            // those behind were added while reading
  std::vector<std::optional<Offset>> noted = {};  // the ends noted at joining, when not following
  std::vector<bool> held_before = {};             // partitions that were this member's once
  std::uint32_t wake_seen = 0;                    // of the file's wake word, when last shared out
  Members members = {};                           // when last shared out
  bool has_share = false;                         // it holds as many as it is to hold
  SteadyTime wanting_since = {};                  // since when it has not
  bool unsynced = false;                          // a start was stored, not durably yet

  bool shares() const { return chosen.empty(); }
  bool has_others() const { return members.entries.size() > 1; }
};

// A partition this member reads.
struct Held {
  Subscription* of;
  Cursor* cursor;
  std::optional<Offset> stored = {};  // as this member knows it
  bool leaving = false;               // it goes to another member when all that was handed out of it is done with

  PartitionId id() const { return cursor->reader.id(); }
  Position position() const { return {of->topic->name(), id(), cursor->next}; }
};

class LocalGroupReader final : public MemberReader {
 public:
  LocalGroupReader(const DataDir& data_dir, std::string consumer, const GroupOptions& options)
      : MemberReader(std::move(consumer), options), data_dir_(&data_dir) {}

  ~LocalGroupReader() override {
    if (!left_) (void)leave_group(in_hand_);
  }

  Result<void> open() {
    reader_ = TRY(LocalReader::open_topics(*data_dir_, options_.read));
    for (std::size_t i = 0; i < options_.read.topics.size(); ++i) {
      Topic& topic = *reader_->topics()[i];
      Subscription& sub = subscriptions_.emplace_back(Subscription{&topic, {}});
      sub.known_partitions = sub.partitions_at_join = topic.settings().partitions;
      const auto& chosen = options_.read.topics[i].partitions;
      if (!chosen.empty()) sub.chosen = partitions_or_all(chosen, sub.known_partitions);
      TRY(open_offsets(sub));
    }
    // A member of all topics before the first claim, so that whoever is refused can say by whom.
    for (Subscription& sub : subscriptions_) TRY(claims_ && sub.shares() ? share_out(sub) : take_all(sub));
    for (Subscription& sub : subscriptions_) TRY(note_ends(sub));
    joined_ = true;
    return {};
  }

  Result<Fetch> next(Milliseconds wait) override {
    ASSERT(!left_);
    in_hand_.reset();
    const SteadyTime deadline = std::chrono::steady_clock::now() + wait;
    for (bool waited = false;; waited = true) {
      SteadyTime now = std::chrono::steady_clock::now();
      TRY(look_for_changes(now));
      TRY(commit_if_due(now));
      const Fetch fetch = TRY(reader_->look(waited));
      if (fetch.state == Fetch::State::stopped) return fetch;
      if (fetch.state == Fetch::State::records) {
        note_in_hand(fetch);
        return fetch;
      }
      if (fetch.state == Fetch::State::ended && TRY(settled(now))) return fetch;
      now = std::chrono::steady_clock::now();
      if (now >= deadline) return Fetch{.state = Fetch::State::caught_up};
      wait_for_more(std::chrono::ceil<Milliseconds>(deadline - now), now);
    }
  }

  Result<void> tend() override {
    ASSERT(!left_ && !automatic_);
    return look_for_changes(std::chrono::steady_clock::now());
  }

  std::vector<std::string> take_notices() override { return reader_->take_notices(); }

  Result<void> commit(std::span<const Position> positions) override {
    TRY(check_strategy());
    std::vector<const OffsetsFile*> touched;
    for (const Position& position : positions) {
      Held* held = find(position.topic, position.partition);
      if (held == nullptr) return not_ours(position);
      TRY(store(*held, position.next));
      if (std::ranges::find(touched, &*held->of->file) == touched.end()) touched.push_back(&*held->of->file);
    }
    for (const OffsetsFile* file : touched) TRY(file->sync());
    return {};
  }

  Result<void> leave() override {
    if (left_) return {};
    return leave_group(std::nullopt);
  }

 private:
  // ---- Joining ----

  Result<void> open_offsets(Subscription& sub) {
    if (!claims_ && options_.reset) return {};
    const auto access = !claims_         ? OffsetsFile::Access::read
                        : options_.reset ? OffsetsFile::Access::write_anew
                                         : OffsetsFile::Access::write;
    const MemberEntry member{.command = options_.description, .fixed = static_cast<std::int32_t>(sub.chosen.size())};
    sub.file = TRY(OffsetsFile::open(*data_dir_, consumer_, sub.topic->name(), sub.topic->id(), sub.known_partitions,
                                     access, claims_ ? &member : nullptr));
    if (claims_) sub.file->announce();
    return {};
  }

  // Everything this member named, or all there is where it claims nothing.
  Result<void> take_all(Subscription& sub) {
    for (const PartitionId partition : partitions_or_all(sub.chosen, sub.known_partitions)) {
      if (find(sub.topic->name(), partition) != nullptr) continue;
      if (claims_ && !TRY(sub.file->claim(partition)))
        return std::unexpected(sub.file->in_use(consumer_, sub.topic->name(), partition));
      TRY(hold(sub, partition));
    }
    sub.has_share = true;
    return sync_starts(sub);
  }

  // What is taken over later ends where all of the topic ended when this member joined.
  Result<void> note_ends(Subscription& sub) {
    if (options_.read.follow || !sub.shares()) return {};
    sub.noted.resize(static_cast<std::size_t>(sub.known_partitions));
    for (PartitionId p{0}; p.value < sub.known_partitions; p += 1) {
      const Held* held = find(sub.topic->name(), p);
      std::optional<Offset>& end = sub.noted[static_cast<std::size_t>(p.value)];
      end = held != nullptr ? held->cursor->range.end : TRY(visible_range(*sub.topic, p, uncommitted())).end;
    }
    return {};
  }

  // ---- Sharing out ----

  Result<void> look_for_changes(SteadyTime now) {
    if (left_) return {};
    const bool due = now - looked_at_ >= kLookForMembers;
    if (due) looked_at_ = now;
    for (Subscription& sub : subscriptions_) {
      const bool grown = sub.topic->settings().partitions != sub.known_partitions;
      if (grown) sub.known_partitions = sub.topic->settings().partitions;
      if (!claims_ && grown && sub.shares()) TRY(take_all(sub));
      if (!claims_ || !sub.shares()) continue;
      const bool woken = sub.file->wake().load(std::memory_order_acquire) != sub.wake_seen;
      const bool wanting = due && !sub.has_share;
      if (woken || grown || wanting || (due && !TRY(sub.file->still_live(sub.members)))) TRY(share_out(sub));
    }
    return hand_over();
  }

  // Claims what this member's share lacks and begins to give up what is over it.
  Result<void> share_out(Subscription& sub) {
    sub.wake_seen = sub.file->wake().load(std::memory_order_acquire);
    sub.members = TRY(sub.file->members());
    const Members& members = sub.members;
    const std::int32_t share = share_of(members.shares, members.self, sub.known_partitions, sub.topic->name());
    std::int32_t count = members.shares[members.self].held;
    const std::int32_t over = count - leaving_of(sub) - share;
    if (over > 0) {
      give_up(sub, over);
    } else if (count < share) {
      for (const PartitionId partition :
           claim_order(sub.known_partitions, members.self, members.shares.size(), sub.held_before)) {
        if (count == share) break;
        if (find(sub.topic->name(), partition) != nullptr || !TRY(sub.file->claim(partition))) continue;
        TRY(hold(sub, partition));
        ++count;
      }
    }
    note_share(sub, count >= share, share);
    return sync_starts(sub);
  }

  void note_share(Subscription& sub, bool has_share, std::int32_t share) {
    if (has_share && share == 0 && !sub.has_share) {
      note_waiting(sub.topic->name(), sub.known_partitions);
    }
    if (!has_share && (sub.has_share || sub.wanting_since == SteadyTime{}))
      sub.wanting_since = std::chrono::steady_clock::now();
    sub.has_share = has_share;
  }

  // Whether there is nothing more to wait for but records: this member has its share everywhere. A member that is
  // stopped, or writes to somebody who does not read, may never give up what is over its own.
  Result<bool> settled(SteadyTime now) {
    for (const Subscription& sub : subscriptions_) {
      if (sub.has_share) continue;
      if (now - sub.wanting_since < data_dir_->lock_timeout()) return false;
      if (held_.empty()) return std::unexpected(sub.file->in_use(consumer_, sub.topic->name(), std::nullopt));
    }
    return true;
  }

  // Reads a partition that was claimed, from where the group has got to.
  Result<void> hold(Subscription& sub, PartitionId partition) {
    const auto number = static_cast<std::size_t>(partition.value);
    LocalReader::Add how{.is_new = partition.value >= sub.partitions_at_join};
    if (number < sub.noted.size()) how.stop = sub.noted[number];
    std::optional<Offset> stored;
    how.start_of = [&](const Topic&, PartitionId, const VisibleRange& range) -> Result<std::optional<Offset>> {
      stored = TRY(resume(sub, partition, range));
      return stored;
    };
    auto cursor = reader_->add(*sub.topic, partition, how);
    if (!cursor) {
      if (claims_) sub.file->release(partition);
      return std::unexpected(std::move(cursor).error());
    }
    held_.push_back({&sub, *cursor, stored});
    if (claims_ && sub.shares()) {
      sub.held_before.resize(std::max(sub.held_before.size(), number + 1));
      sub.held_before[number] = true;
      if (joined_) note_taken(held_.back().position());
    }
    if (stores_start(stored.has_value(), how.is_new)) {
      TRY(store(held_.back(), held_.back().cursor->next));
      sub.unsynced = true;
    }
    return {};
  }

  static Result<void> sync_starts(Subscription& sub) {
    return std::exchange(sub.unsynced, false) ? sub.file->sync() : Result<void>{};
  }

  // Where a partition goes on.
  Result<std::optional<Offset>> resume(const Subscription& sub, PartitionId partition, const VisibleRange& range) {
    if (const auto named = start_named(options_.read, sub.topic->name(), partition)) return named;
    if (options_.reset || !sub.file) return std::nullopt;
    const auto stored = TRY(sub.file->load(partition));
    if (!stored) return std::nullopt;
    if (stored->next > range.end && stored->next > TRY(appended_end(*sub.topic, partition))) {
      return fail(Code::damaged,
                  fmt::format("{}: consumer \"{}\" stands at offset {} of partition {}, but the log ends at {}",
                              sub.file->path(), consumer_, stored->next.value, partition.value, range.end.value),
                  "consume with --reset to begin anew");
    }
    resumed_.push_back({sub.topic->name(), partition, stored->next});
    return stored->next;
  }

  // Behind everything appended, durable or not: what an earlier member that read uncommitted records may have
  // committed.
  Result<Offset> appended_end(const Topic& opened, PartitionId partition) const {
    Topic topic = TRY(Topic::open(*data_dir_, opened.name(), Topic::Access::read));
    return TRY(visible_range(topic, partition, true)).end;
  }

  std::int32_t leaving_of(const Subscription& sub) const {
    return static_cast<std::int32_t>(
        std::ranges::count_if(held_, [&](const Held& held) { return held.of == &sub && held.leaving; }));
  }

  // Other members are to have the partitions claimed last: hand_over() lets them go. One that has begun to leave goes,
  // whoever comes or dies meanwhile; then it may be claimed again.
  void give_up(const Subscription& sub, std::int32_t count) {
    for (auto held = held_.rbegin(); held != held_.rend() && count > 0; ++held) {
      if (held->of != &sub || held->leaving) continue;
      held->leaving = true;
      LocalReader::pause(*held->cursor);
      --count;
    }
  }

  // Releases the partitions that are leaving, each as soon as what was handed out of it is done with.
  Result<void> hand_over() {
    std::vector<Position> leaving;
    for (const Held& held : held_)
      if (held.leaving) leaving.push_back(held.position());
    if (leaving.empty()) return {};
    for (const Position& position : TRY(finish(leaving))) {
      Subscription& sub = *find(position.topic, position.partition)->of;
      const auto held = std::ranges::find_if(
          held_, [&](const Held& one) { return one.of == &sub && one.id() == position.partition; });
      reader_->remove(*held->cursor);
      held_.erase(held);
      sub.file->release(position.partition);
      note_given_up(position);
      sub.file->announce();
    }
    return {};
  }

  // ---- Committing ----

  std::vector<Standing> standings() const override {
    std::vector<Standing> standings;
    for (const Held& held : held_)
      standings.push_back({held.position(), held.stored.value_or(held.cursor->range.start)});
    return standings;
  }

  Result<void> store(Held& held, Offset next) {
    TRY(held.of->topic->check_alive());
    Cursor& cursor = *held.cursor;
    // What has been handed out lies inside the range known; only a position made up by the caller needs another look.
    if (next > cursor.range.end && next > TRY(cursor.reader.visible()).end)
      return behind_end({held.of->topic->name(), held.id(), next});
    TRY(cursor.reader.make_durable(next));
    TRY(held.of->file->store(held.id(), next, now_ms()));
    held.stored = next;
    return {};
  }

  Result<void> leave_group(const std::optional<Position>& in_hand) {
    left_ = true;
    Result<void> committed = automatic_ ? commit_done(in_hand) : Result<void>{};
    if (claims_) {
      for (Subscription& sub : subscriptions_) {
        if (!sub.file) continue;
        for (const Held& held : held_)
          if (held.of == &sub) sub.file->release(held.id());
        sub.file->leave();
        sub.file->announce();
      }
    }
    return committed;
  }

  // ---- The rest ----

  void wait_for_more(Milliseconds left, SteadyTime now) {
    std::vector<WakeWait> words;
    for (const Subscription& sub : subscriptions_) {
      if (!claims_ || !sub.shares()) continue;
      words.push_back({&sub.file->wake(), sub.wake_seen});
      if (sub.has_others() || !sub.has_share || leaving_of(sub) > 0) left = std::min(left, kLookForMembers);
    }
    if (automatic_) {
      const auto until_commit = std::chrono::ceil<Milliseconds>(commit_due() - now);
      left = std::min(left, std::max(until_commit, Milliseconds(1)));
    }
    reader_->wait(left, words);
  }

  Held* find(std::string_view topic, PartitionId partition) {
    const auto held = std::ranges::find_if(
        held_, [&](const Held& one) { return one.id() == partition && one.of->topic->name() == topic; });
    return held == held_.end() ? nullptr : &*held;
  }

  bool uncommitted() const { return options_.read.isolation == Isolation::read_uncommitted; }

  const DataDir* data_dir_;
  std::unique_ptr<LocalReader> reader_;
  std::deque<Subscription> subscriptions_;  // places stay
  std::vector<Held> held_;                  // in the order of their claims
  SteadyTime looked_at_{};
};

}  // namespace

Result<std::unique_ptr<GroupReader>> join_local_group(const DataDir& data_dir, std::string_view consumer,
                                                      const GroupOptions& options) {
  TRY(check_name("consumer", consumer));
  auto reader = std::make_unique<LocalGroupReader>(data_dir, std::string(consumer), options);
  TRY(reader->open());
  return reader;
}

}  // namespace leat
