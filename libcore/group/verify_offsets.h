// Verification (log/verify.h) of what consumers have committed: headers, slots, and offsets that the log does not
// reach.
#pragma once

#include <optional>
#include <string_view>

#include "leat/log/verify.h"

namespace leat {

// Verifies the offsets files of every group, or only those in one topic. Errors: io.
Result<void> verify_offsets(Verification& verification, const DataDir& data_dir,
                            std::optional<std::string_view> topic = {});

}  // namespace leat
