#include "leat/backend/member_reader.h"

#include <fmt/format.h>

namespace leat {

std::vector<Position> MemberReader::positions() const {
  std::vector<Position> positions;
  for (const Standing& standing : standings()) positions.push_back(standing.position);
  return positions;
}

// ---- Committing ----

Result<void> MemberReader::commit_done(const std::optional<Position>& in_hand) {
  std::vector<Position> done;
  for (auto& [position, stored] : standings()) {
    if (in_hand && in_hand->partition == position.partition && in_hand->topic == position.topic) position = *in_hand;
    if (position.next > stored) done.push_back(position);
  }
  return done.empty() ? Result<void>{} : commit(done);
}

Result<void> MemberReader::commit_if_due(SteadyTime now) {
  if (!automatic_ || now < commit_due()) return {};
  committed_at_ = now;
  return commit_done(std::nullopt);
}

Result<std::vector<Position>> MemberReader::finish(std::span<const Position> positions) {
  if (automatic_) TRY(commit(positions));
  if (on_release_) return on_release_(positions);
  return std::vector(positions.begin(), positions.end());
}

void MemberReader::note_in_hand(const Fetch& fetch) {
  in_hand_ = fetch.position;
  in_hand_->next = fetch.records.front().offset;
}

bool MemberReader::stores_start(bool has_stored, bool is_new) const {
  const bool at_beginning = options_.read.start.kind == StartAt::Kind::beginning && !is_new;
  return (automatic_ || options_.store_start) && claims_ && !has_stored && !at_beginning;
}

// ---- Sentences ----

void MemberReader::note_taken(const Position& position) {
  events_.push_back(fmt::format("consumer \"{}\" takes partition {} of \"{}\" at {}", consumer_,
                                position.partition.value, position.topic, position.next.value));
}

void MemberReader::note_given_up(const Position& position) {
  events_.push_back(fmt::format("consumer \"{}\" gives up partition {} of \"{}\" at {}", consumer_,
                                position.partition.value, position.topic, position.next.value));
}

void MemberReader::note_waiting(std::string_view topic, std::int32_t partitions) {
  events_.push_back(fmt::format("consumer \"{}\" waits: other members have all {} partitions of \"{}\"", consumer_,
                                partitions, topic));
}

Result<void> MemberReader::check_strategy() const {
  if (!claims_) return fail(Code::usage, "offset strategy none never commits");
  return {};
}

std::unexpected<Error> MemberReader::not_ours(const Position& position) {
  return fail(Code::busy,
              fmt::format("partition {} of \"{}\" is not this member's", position.partition.value, position.topic));
}

std::unexpected<Error> MemberReader::behind_end(const Position& position) {
  return fail(Code::usage, fmt::format("offset {} of partition {} of \"{}\" lies behind the end of the log",
                                       position.next.value, position.partition.value, position.topic));
}

}  // namespace leat
