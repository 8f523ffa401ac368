// What a store's changelog holds: records that say where in the source they come from, behind one that says whose they
// are. Pure, but for reserve().
//
//   first record of a partition    key    "\0leat.store"
//                                  header leat-store: 1      the version of all of this
//                                  value  TOML: store = ID, source = TOPIC, incarnation = 32 hexadecimal digits, and
//                                         source_identity = what tells the source from others of its name, unless old
//   every other                    key    the key
//                                  value  what is stored, or null: deleted
//                                  header leat-source: decimal offset of the record in the same partition of the source
//                                  time   when it was written, so that compaction keeps a tombstone long enough
//
// Offsets of the source grow from record to record. What another store has written at the same time as the first record
// lies behind it, begins with the same header and counts for nothing: whoever is first has the changelog.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "leat/backend/backend.h"
#include "leat/store/table.h"

namespace leat {

inline constexpr std::string_view kReservationKey{"\0leat.store", 11};
inline constexpr std::string_view kReservationHeader = "leat-store";
inline constexpr std::string_view kSourceHeader = "leat-source";

// Whose a partition of a changelog is. The incarnation is random: a changelog that was deleted and made again has
// another. The offsets in it are those of one source: a topic of the same name that was made later has others.
struct Reservation {
  std::string store;
  std::string source;
  HashKey incarnation{};
  std::string source_identity = {};  // Backend::topic_identity(); empty: not known, and taken for any
};

std::string encode_reservation(const Reservation& reservation);
// `where` names the record in messages. Errors: configuration.
Result<Reservation> decode_reservation(std::string_view text, std::string_view where);

// Whether a record is a reservation and not a change.
bool is_reservation(const RecordView& record);

// A change as a record of the changelog tells it. The bytes are the record's.
struct Change {
  std::string_view key;
  std::optional<std::string_view> value;  // absent: deleted
  Offset source;                          // the record of the source that made it
};
// Errors: configuration, for what no store has written.
Result<Change> decode_change(const RecordView& record);

// The text of the source header. Lives as long as this.
class SourceText {
 public:
  explicit SourceText(Offset source);
  std::string_view text() const { return {digits_.data(), size_}; }

 private:
  std::array<char, 24> digits_;
  std::size_t size_;
};

// Whose the partition is, or nothing where it is empty. Errors: configuration (what is in it is no store's), those of
// the reader.
Result<std::optional<Reservation>> read_reservation(Backend& backend, const std::string& changelog,
                                                    PartitionId partition);

// Makes the partition what is `wanted`, with a new incarnation, unless it is already. Errors: configuration (another
// store's, or another source's), those of the producer.
Result<Reservation> reserve(Backend& backend, Producer& producer, const std::string& changelog, PartitionId partition,
                            Reservation wanted);
// Whether the store that is `wanted` can go on with what was found; an empty source may be any. Errors: configuration.
Result<void> check_reservation(const Reservation& found, const std::string& changelog, const Reservation& wanted);

}  // namespace leat
