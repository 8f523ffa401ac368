// Compression of a batch's records. The only includer of lz4 and zstd.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "leat/base/bytes.h"
#include "leat/base/error.h"

namespace leat {

// The codecs leat writes and reads; the values are the codec bits of Kafka's batch attributes (KIP-98, KIP-110).
// gzip (1) and snappy (2) exist in Kafka's format but are not written here.
enum class Codec : std::uint8_t { none = 0, lz4 = 3, zstd = 4 };

std::string_view to_string(Codec codec);  // "none", "lz4", "zstd"
std::optional<Codec> parse_codec(std::string_view name);

// Appends `plain`, compressed, to `out`: an LZ4 frame with independent blocks and no content checksum, or a zstd frame
// with its content size, as Kafka's clients expect. `codec` is not none. Errors: internal.
Result<void> compress(Codec codec, Bytes plain, std::vector<std::byte>& out);

// Replaces `out` with the plain bytes of `packed`. Never grows `out` beyond `plain_bytes_max`, whatever the frame
// claims. Errors: damaged, for bytes that are no such frame, end early, carry a tail, or would exceed the limit.
Result<void> decompress(Codec codec, Bytes packed, std::size_t plain_bytes_max, std::vector<std::byte>& out);

}  // namespace leat
