#include "leat/pipe/pipeline.h"

#include <fmt/format.h>

#include <algorithm>

namespace leat::pipe {
namespace {

// How long one wait for records, for room or for a barrier takes at most: failures and the stop flag are looked at in
// between.
constexpr Milliseconds kLook(50);

// How what one stage makes of what comes to it descends from the source.
Descent descent_behind(const StagePlan& plan, Descent before) {
  const bool batches = plan.kind == StagePlan::Kind::reduce || plan.kind == StagePlan::Kind::sink;
  if (!batches || before == Descent::any) return before;
  if (plan.batches.group_by == GroupBy::key) return Descent::any;
  if (plan.kind == StagePlan::Kind::sink) return before;
  return plan.batches.group_by == GroupBy::partition ? Descent::ranges : Descent::any;
}

// How what a stage is given, batch by batch, descends from the source.
Descent descent_in(const StagePlan& plan, Descent before) {
  return plan.batches.group_by == GroupBy::key ? Descent::any : before;
}

Message message_of(const RecordView& record) {
  Message message;
  if (record.key) message.key.emplace(*record.key);
  if (record.value) message.value.emplace(*record.value);
  for (const HeaderView& header : record.headers) {
    message.headers.emplace_back(header.key, header.value ? std::optional<std::string>(*header.value) : std::nullopt);
  }
  message.timestamp = record.timestamp;
  message.sources.push_back({std::string(record.topic), record.partition, record.offset, record.offset});
  return message;
}

}  // namespace

Result<std::unique_ptr<Pipeline>> Pipeline::open(const PipelinePlan& plan, const PipelineSurroundings& surroundings) {
  std::unique_ptr<Pipeline> pipeline(new Pipeline(plan, surroundings));
  TRY(pipeline->make_stages());
  return pipeline;
}

Pipeline::~Pipeline() {
  lifeline_.halt();
  for (const auto& stage : stages_) stage->join();
}

// ---- Beginning ----

SinkSurroundings Pipeline::sink_surroundings(const std::string& stage, Descent descent) const {
  return {.stage = stage,
          .group = plan_.group,
          .source = surroundings_.source,
          .source_location = surroundings_.source_location,
          .descent = descent,
          .open_backend = surroundings_.open_backend,
          .notice = surroundings_.notice};
}

Result<void> Pipeline::make_stages() {
  if (plan_.stages.empty() || plan_.stages.back().kind != StagePlan::Kind::sink)
    return fail(Code::usage, "the last stage of a pipeline must have a sink");
  errors_ = std::make_unique<ErrorStage>();
  if (plan_.error) {
    errors_ = std::make_unique<ErrorStage>(TRY(plan_.error->open(sink_surroundings("error", Descent::any))),
                                           plan_.retry, lifeline_.halted(), surroundings_.notice);
  }
  shared_ = {.lifeline = &lifeline_,
             .errors = errors_.get(),
             .acknowledge =
                 [this](std::span<const Message> messages) {
                   const std::lock_guard lock(tracking_);
                   for (const Message& message : messages)
                     for (const SourceRange& range : message.sources) tracker_.close(range);
                 },
             .stopping = &stopping_,
             .notice = surroundings_.notice,
             .retry = plan_.retry,
             .undeliverable = plan_.undeliverable,
             .channel = plan_.queue};
  Descent descent = Descent::single;
  for (const StagePlan& plan : plan_.stages) {
    stages_.push_back(TRY(make_stage(plan, descent)));
    holds_ = holds_ || stages_.back()->holds_partitions();
    resumes_ = descent_in(plan, descent) == Descent::ranges && stages_.back()->holds_partitions();
    descent = descent_behind(plan, descent);
  }
  return {};
}

Result<std::unique_ptr<Stage>> Pipeline::make_stage(const StagePlan& plan, Descent descent) {
  switch (plan.kind) {
    case StagePlan::Kind::par_map:
    case StagePlan::Kind::map:
    case StagePlan::Kind::filter:
      return make_map_stage(plan.name, {plan.workers, plan.kind == StagePlan::Kind::par_map}, plan.mapper, shared_);
    case StagePlan::Kind::reduce:
      return make_reduce_stage(
          plan.name, plan.batches,
          TRY(plan.reducer({.stage = plan.name, .notice = surroundings_.notice, .restarted = [] {}})), shared_);
    case StagePlan::Kind::sink:
      return make_sink_stage(plan.name, plan.batches,
                             TRY(plan.sink->open(sink_surroundings(plan.name, descent_in(plan, descent)))), shared_);
  }
  return fail(Code::internal, "a stage of no kind");
}

Result<void> Pipeline::join_group() {
  GroupOptions options;
  for (const std::string& topic : plan_.topics) options.read.topics.push_back({topic, plan_.partitions});
  options.read.start = plan_.reset;
  options.read.follow = surroundings_.follow;
  options.read.isolation = plan_.isolation;
  options.read.stop = surroundings_.stop;
  options.strategy = OffsetStrategy::manual;
  options.store_start = true;
  options.description = surroundings_.description;
  reader_ = TRY(surroundings_.source->join_group(plan_.group, options));
  reader_->on_release([this](std::span<const Position> positions) { return let_go(positions); });
  return {};
}

// ---- Running ----

Result<void> Pipeline::run() {
  TRY(join_group());
  for (std::size_t i = 0; i < stages_.size(); ++i)
    stages_[i]->start(i + 1 < stages_.size() ? &stages_[i + 1]->inlet() : nullptr);
  committed_at_ = std::chrono::steady_clock::now();
  auto ran = read_until_over();
  if (ran) ran = finish();
  // Nothing is acknowledged behind this.
  if (!ran) lifeline_.halt();
  for (const auto& stage : stages_) stage->join();
  auto committed = commit();
  // The cause is told rather than what came of it.
  if (const auto failure = lifeline_.failure()) ran = std::unexpected(*failure);
  if (ran) ran = std::move(committed);
  auto left = reader_->leave();
  reader_->on_release({});
  if (ran) ran = std::move(left);
  return ran;
}

Result<void> Pipeline::read_until_over() {
  bool over = false;
  while (!stopping()) {
    TRY(check_alive());
    TRY(read_or_tend(over));
    if (over) return {};
    TRY(enter());
    TRY(commit_if_due());
  }
  return {};
}

// Reads when all that was read before has entered; else only stays a member of the group. `over`: there is nothing
// more.
Result<void> Pipeline::read_or_tend(bool& over) {
  if (!incoming_.items.empty()) {
    TRY(reader_->tend());
    say_notices();
    if (surroundings_.tick) surroundings_.tick();
    return {};
  }
  auto fetched = reader_->next(std::min(kLook, plan_.commit_every));
  say_notices();
  const Fetch fetch = TRY(std::move(fetched));
  if (surroundings_.tick) surroundings_.tick();
  over = fetch.state == Fetch::State::ended || fetch.state == Fetch::State::stopped;
  return fetch.state == Fetch::State::records ? take(fetch) : Result<void>{};
}

Result<void> Pipeline::take(const Fetch& fetch) {
  incoming_ = {{std::string(fetch.position.topic), fetch.position.partition}, fetch.position.next};
  incoming_.items.reserve(fetch.records.size());
  for (const RecordView& record : fetch.records) incoming_.items.push_back({message_of(record)});
  const Offset first = fetch.records.front().offset;
  const bool is_first = begun_.try_emplace(incoming_.place, first).second;
  if (!is_first || !resumes_) {
    open_incoming();
    return {};
  }
  // The first records since the partition is this member's: an earlier owner may have delivered some.
  const SourceRange range{incoming_.place.first, incoming_.place.second, first, first};
  incoming_.asked = std::make_shared<Barrier>(Barrier::What{.begun = range});
  return send_barrier(incoming_.asked);
}

// What was read is to be delivered, but for what an earlier run has.
void Pipeline::open_incoming() {
  const auto& [topic, partition] = incoming_.place;
  const Offset from = begun_.at(incoming_.place);
  const std::size_t skipped =
      std::erase_if(incoming_.items, [&](const Item& item) { return item.message.sources.front().first < from; });
  skipped_ += static_cast<std::int64_t>(skipped);
  read_ += std::ssize(incoming_.items);
  const std::lock_guard lock(tracking_);
  for (const Item& item : incoming_.items) tracker_.open(topic, partition, item.message.sources.front().first);
  tracker_.read_to(topic, partition, incoming_.next);
}

// Gives the first stage what was read, as far as it has room for it. Waits a moment for some.
Result<void> Pipeline::enter() {
  if (incoming_.asked) {
    if (!incoming_.asked->wait(kLook)) return {};
    const auto delivered = std::exchange(incoming_.asked, nullptr)->answered();
    Offset& from = begun_.at(incoming_.place);
    from = std::max(from, delivered.value_or(from));
    open_incoming();
  }
  if (incoming_.items.empty()) return {};
  const bool pushed = stages_.front()->inlet().push(incoming_.items, std::chrono::steady_clock::now() + kLook);
  return pushed ? Result<void>{} : check_alive();
}

// Whether the pipeline still works.
Result<void> Pipeline::check_alive() const {
  if (const auto failure = lifeline_.failure()) return std::unexpected(*failure);
  if (lifeline_.halted()) return fail(Code::interrupted, "the pipeline is halted");
  return {};
}

Result<void> Pipeline::send_barrier(const BarrierRef& barrier) {
  return stages_.front()->inlet().push(barrier) ? Result<void>{} : check_alive();
}

// Another member goes on where these partitions stand: first all that was read of them is finished. Nothing is waited
// for here.
Result<std::vector<Position>> Pipeline::let_go(std::span<const Position> positions) {
  std::vector<Position> gone;
  std::vector<SourceRange> fresh;
  for (const Position& position : positions) {
    const Place place(position.topic, position.partition);
    if (leaves(place)) {
      gone.push_back(position);
    } else if (!leaving_.contains(place)) {
      fresh.push_back({place.first, place.second, {}, {}});
    }
  }
  if (!fresh.empty()) {
    // Behind the end nothing more can be sent: what is open is finished before that.
    const BarrierRef barrier = end_ ? end_ : std::make_shared<Barrier>(Barrier::What{.released = fresh});
    if (!end_) TRY(send_barrier(barrier));
    for (const SourceRange& range : fresh) leaving_[{range.topic, range.partition}] = barrier;
  }
  if (gone.empty()) return gone;
  TRY(commit());
  const std::lock_guard lock(tracking_);
  for (const Position& position : gone) {
    tracker_.forget(position.topic, position.partition);
    begun_.erase({std::string(position.topic), position.partition});
    leaving_.erase({std::string(position.topic), position.partition});
  }
  return gone;
}

// Whether nothing of the partition is open any more. What has not entered is taken back: it is the next owner's.
bool Pipeline::leaves(const Place& place) {
  if (const auto leaving = leaving_.find(place); leaving != leaving_.end())
    return leaving->second->wait(Milliseconds(0));
  const std::lock_guard lock(tracking_);
  if (incoming_.place == place && !incoming_.items.empty()) {
    const Offset first = incoming_.items.front().message.sources.front().first;
    if (!incoming_.asked) tracker_.take_back(place.first, place.second, first);
    incoming_ = {};
  }
  return !begun_.contains(place) || (!holds_ && tracker_.open_records(place.first, place.second) == 0);
}

// ---- Ending ----

// Returns when all that has been read is done with, or the pipeline has failed.
Result<void> Pipeline::finish() {
  end_ = std::make_shared<Barrier>(Barrier::What{.is_end = true});
  TRY(check_shutdown());
  TRY(send_barrier(end_));
  while (!end_->wait(kLook)) {
    TRY(check_alive());
    TRY(check_shutdown());
    TRY(reader_->tend());
    say_notices();
    if (surroundings_.tick) surroundings_.tick();
    TRY(commit_if_due());
  }
  return errors_->close();
}

// The user may want an end at once, or while the last of what was there is being finished: from then on stages drop
// what they are to drop, and there is only so much time.
Result<void> Pipeline::check_shutdown() {
  if (!stopping()) return {};
  const SteadyTime now = std::chrono::steady_clock::now();
  if (!stopping_.exchange(true)) stopped_at_ = now;
  if (now - stopped_at_ < plan_.shutdown_timeout) return {};
  lifeline_.halt();
  return fail(Code::interrupted,
              fmt::format("stopped with records still open after {} ms", plan_.shutdown_timeout.count()));
}

Result<void> Pipeline::commit_if_due() {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (now - committed_at_ < plan_.commit_every) return {};
  return commit();
}

Result<void> Pipeline::commit() {
  committed_at_ = std::chrono::steady_clock::now();
  std::vector<Position> positions;
  {
    const std::lock_guard lock(tracking_);
    positions = tracker_.moved();
  }
  if (positions.empty()) return {};
  TRY(reader_->commit(positions));
  ++commits_;
  const std::lock_guard lock(tracking_);
  tracker_.mark_committed(positions);
  return {};
}

void Pipeline::say_notices() {
  for (const std::string& notice : reader_->take_notices()) surroundings_.notice(notice);
  for (const std::string& event : reader_->take_events())
    if (surroundings_.event) surroundings_.event(event);
}

// ---- Figures ----

PipelineReport Pipeline::report() const {
  PipelineReport report{.read = read_, .skipped = skipped_, .commits = commits_, .errors = errors_->figures().out};
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    const StageFigures& figures = stages_[i]->figures();
    report.stages.push_back({stages_[i]->name(), plan_.stages[i].kind, figures.in, figures.out, figures.dropped,
                             figures.refused, figures.retries, figures.restarts, figures.batches, figures.batch_records,
                             static_cast<std::int64_t>(stages_[i]->queued())});
  }
  const std::lock_guard lock(tracking_);
  report.open = tracker_.open_records();
  for (const Position& position : tracker_.positions()) {
    report.partitions.push_back(
        {.topic = std::string(position.topic), .partition = position.partition, .next = position.next});
  }
  return report;
}

}  // namespace leat::pipe
