// What a member of a consumer group does alike wherever the group keeps its offsets: it remembers what was handed out,
// commits it when it is time, and says what became of its partitions. How partitions come and go, and where offsets are
// stored, is the derived class's.
#pragma once

#include "leat/backend/backend.h"

namespace leat {

class MemberReader : public GroupReader {
 public:
  void on_release(LetGo callback) final { on_release_ = std::move(callback); }
  std::vector<Position> resumed() const final { return resumed_; }
  std::vector<Position> positions() const final;
  std::vector<std::string> take_events() final { return std::exchange(events_, {}); }

 protected:
  MemberReader(std::string consumer, const GroupOptions& options)
      : consumer_(std::move(consumer)),
        options_(options),
        claims_(options.strategy != OffsetStrategy::none),
        automatic_(options.strategy == OffsetStrategy::automatic),
        committed_at_(std::chrono::steady_clock::now()) {}

  // A partition that is this member's: where reading it stands, and up to where that needs no commit.
  struct Standing {
    Position position;
    Offset stored;  // or the log start, where nothing is
  };
  virtual std::vector<Standing> standings() const = 0;

  // Commits what was handed out, but for what is still in the caller's hands.
  Result<void> commit_done(const std::optional<Position>& in_hand);
  // The same for all of it when the strategy says that it is time.
  Result<void> commit_if_due(SteadyTime now);
  SteadyTime commit_due() const { return committed_at_ + options_.flush_every; }
  // Before partitions are given up: those of them of which all that was handed out is done with. Errors: those of
  // commit() and of the callback.
  Result<std::vector<Position>> finish(std::span<const Position> positions);

  // What a caller that goes away without a word has not finished: the records of the last fetch.
  void note_in_hand(const Fetch& fetch);
  // Whether the start of a partition is to be stored at once: whoever takes over before the first commit must not start
  // anywhere else.
  bool stores_start(bool has_stored, bool is_new) const;

  void note_taken(const Position& position);
  void note_given_up(const Position& position);
  void note_waiting(std::string_view topic, std::int32_t partitions);

  // Refusals of commit().
  Result<void> check_strategy() const;
  static std::unexpected<Error> not_ours(const Position& position);
  static std::unexpected<Error> behind_end(const Position& position);

  std::string consumer_;
  GroupOptions options_;
  bool claims_;
  bool automatic_;
  bool joined_ = false;
  bool left_ = false;
  std::optional<Position> in_hand_;  // before the records of the last fetch
  std::vector<Position> resumed_;

 private:
  SteadyTime committed_at_;
  LetGo on_release_;
  std::vector<std::string> events_;
};

}  // namespace leat
