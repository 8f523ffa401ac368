// A data directory behind Backend. Translates between the seam and the layers below; knows no formats.
#pragma once

#include <memory>
#include <string>

#include "leat/backend/backend.h"
#include "leat/group/offsets.h"
#include "leat/log/data_dir.h"
#include "leat/log/topic.h"

namespace leat {

// Opens (with options.create: makes) the data directory at `path`. Errors: those of DataDir::open.
Result<std::unique_ptr<Backend>> open_local(const std::string& path, const OpenOptions& options);

// The parts of LocalBackend, one file each. `data_dir` must outlive what they return.
Result<std::unique_ptr<Producer>> open_local_producer(const DataDir& data_dir, std::string_view topic,
                                                      const ProducerOptions& options);
Result<std::unique_ptr<Reader>> open_local_reader(const DataDir& data_dir, const ReadOptions& options);
Result<std::unique_ptr<GroupReader>> join_local_group(const DataDir& data_dir, std::string_view consumer,
                                                      const GroupOptions& options);

}  // namespace leat
