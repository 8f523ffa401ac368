#include "leat/store/changelog.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <cerrno>
#include <charconv>
#include <thread>

#include "leat/base/hex.h"
#include "leat/base/toml.h"

namespace leat {

namespace {

constexpr Milliseconds kLook(1000);
constexpr Milliseconds kVisibleLook(20);
constexpr Milliseconds kVisibleMax(10'000);

std::optional<HashKey> parse_incarnation(std::string_view text) {
  HashKey key{};
  if (text.size() != 2 * key.size()) return std::nullopt;
  for (std::size_t i = 0; i < key.size(); ++i) {
    const char* digits = text.data() + 2 * i;
    const auto [end, error] = std::from_chars(digits, digits + 2, key[i], 16);
    if (error != std::errc() || end != digits + 2) return std::nullopt;
  }
  return key;
}

std::string place_of(std::string_view topic, PartitionId partition, Offset offset) {
  return fmt::format("topic \"{}\" partition {} offset {}", topic, partition.value, offset.value);
}

const HeaderView* find_header(const RecordView& record, std::string_view name) {
  for (const HeaderView& header : record.headers)
    if (header.key == name) return &header;
  return nullptr;
}

std::unexpected<Error> refuse_record(const RecordView& record) {
  return fail(Code::configuration,
              fmt::format("{} was not written by a store", place_of(record.topic, record.partition, record.offset)),
              "give the store a changelog of its own; it is filled from the source again");
}

}  // namespace

std::string encode_reservation(const Reservation& reservation) {
  std::string text =
      fmt::format("store = {}\nsource = {}\nincarnation = \"{}\"\n", toml_quote(reservation.store),
                  toml_quote(reservation.source), to_hex(std::as_bytes(std::span(reservation.incarnation))));
  if (!reservation.source_identity.empty())
    text += fmt::format("source_identity = {}\n", toml_quote(reservation.source_identity));
  return text;
}

Result<Reservation> decode_reservation(std::string_view text, std::string_view where) {
  Reservation reservation;
  bool whole = false;
  for (const TomlEntry& entry : TRY(parse_toml(text, where))) {
    const auto* value = std::get_if<std::string>(&entry.value);
    if (value == nullptr) continue;
    if (entry.key == "store") reservation.store = *value;
    if (entry.key == "source") reservation.source = *value;
    if (entry.key == "source_identity") reservation.source_identity = *value;
    if (entry.key != "incarnation") continue;
    const auto incarnation = parse_incarnation(*value);
    whole = incarnation.has_value();
    if (whole) reservation.incarnation = *incarnation;
  }
  if (!whole || reservation.store.empty() || reservation.source.empty())
    return fail(Code::configuration, fmt::format("{}: the reservation of a store is not whole", where));
  return reservation;
}

bool is_reservation(const RecordView& record) {
  return find_header(record, kReservationHeader) != nullptr;
}

Result<Change> decode_change(const RecordView& record) {
  const HeaderView* header = find_header(record, kSourceHeader);
  if (header == nullptr || !header->value || !record.key) return refuse_record(record);
  Change change{*record.key, record.value, {}};
  const char* const digits = header->value->data();
  const char* const end = digits + header->value->size();
  const auto [parsed, error] = std::from_chars(digits, end, change.source.value);
  if (error != std::errc() || parsed != end || change.source.value < 0) return refuse_record(record);
  return change;
}

SourceText::SourceText(Offset source) {
  const auto written = std::to_chars(digits_.data(), digits_.data() + digits_.size(), source.value);
  size_ = static_cast<std::size_t>(written.ptr - digits_.data());
}

Result<std::optional<Reservation>> read_reservation(Backend& backend, const std::string& changelog,
                                                    PartitionId partition) {
  const auto reader = TRY(backend.open_reader(
      {.topics = {{changelog, {partition}}}, .start = {StartAt::Kind::beginning}, .follow = false}));
  for (;;) {
    const Fetch fetch = TRY(reader->next(kLook));
    if (fetch.state == Fetch::State::caught_up) continue;
    if (fetch.state != Fetch::State::records) return std::nullopt;
    const RecordView& first = fetch.records.front();
    if (!is_reservation(first) || !first.value) return refuse_record(first);
    return TRY(decode_reservation(*first.value, place_of(changelog, partition, first.offset)));
  }
}

Result<void> check_reservation(const Reservation& found, const std::string& changelog, const Reservation& wanted) {
  if (found.store != wanted.store) {
    return fail(Code::configuration,
                fmt::format("topic \"{}\" is the changelog of store \"{}\", not of \"{}\"", changelog, found.store,
                            wanted.store),
                "each store needs a changelog of its own");
  }
  if (!wanted.source.empty() && found.source != wanted.source) {
    return fail(Code::configuration,
                fmt::format("topic \"{}\" is the changelog of store \"{}\" from topic \"{}\", not from \"{}\"",
                            changelog, found.store, found.source, wanted.source),
                "a store with another source needs another changelog");
  }
  const bool known = !found.source_identity.empty() && !wanted.source_identity.empty();
  if (known && found.source_identity != wanted.source_identity) {
    return fail(Code::configuration,
                fmt::format("topic \"{}\" is the changelog of store \"{}\" from another topic \"{}\" than there is now",
                            changelog, found.store, found.source),
                "a topic that was made anew needs a new changelog");
  }
  return {};
}

Result<Reservation> reserve(Backend& backend, Producer& producer, const std::string& changelog, PartitionId partition,
                            Reservation wanted) {
  auto found = TRY(read_reservation(backend, changelog, partition));
  if (!found) {
    if (::getrandom(wanted.incarnation.data(), wanted.incarnation.size(), 0) !=
        static_cast<ssize_t>(wanted.incarnation.size()))
      return fail_errno(errno, "no random number for the store");
    const std::string value = encode_reservation(wanted);
    const HeaderView header{kReservationHeader, "1"};
    TRY(producer.send({.key = kReservationKey, .value = value, .headers = {&header, 1}}));
    TRY(producer.flush());
    // Another store may have been faster. On a cluster, what was acknowledged is visible a moment later.
    const SteadyTime deadline = std::chrono::steady_clock::now() + kVisibleMax;
    while (!found && std::chrono::steady_clock::now() < deadline) {
      found = TRY(read_reservation(backend, changelog, partition));
      if (!found) std::this_thread::sleep_for(kVisibleLook);
    }
    if (!found) return fail(Code::io, fmt::format("topic \"{}\": what was just written is not there", changelog));
  }
  TRY(check_reservation(*found, changelog, wanted));
  return *std::move(found);
}

}  // namespace leat
